"""Models that accelerate keeps elsewhere and brings in part by part: all is computed as it is in memory."""

from collections.abc import Callable
from pathlib import Path

import accelerate
import pytest
import torch

from steering import LanguageModel, Sliders
from steering.activations.recording import record
from steering.explore.logit_lens import logit_differences
from steering.scoring.answer_likelihood import answer_log_likelihood
from tests.helpers.tiny import random_vector, tiny_lm

CHATS = ["Hello!", "Why is the sky blue?"]
ANSWERED = [[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]]


def _split(lm: LanguageModel, folder: Path) -> None:
    """Embeddings on the disk, the rest in memory."""
    places = {"model.embed_tokens": "disk", "lm_head": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu"}
    places |= {f"model.layers.{layer}": "cpu" for layer in range(4)}
    accelerate.dispatch_model(lm.model, places, main_device="cpu", offload_dir=folder, force_hooks=True)


OFFLOADS: dict[str, Callable[[LanguageModel, Path], object]] = {
    "cpu": lambda lm, folder: accelerate.cpu_offload(lm.model, execution_device=torch.device("cpu")),
    "disk": lambda lm, folder: accelerate.disk_offload(lm.model, folder, execution_device=torch.device("cpu")),
    "embeddings on the disk": _split,
}


@pytest.fixture(params=OFFLOADS)
def offloaded(request: pytest.FixtureRequest, tmp_path: Path) -> LanguageModel:
    lm = tiny_lm()
    OFFLOADS[request.param](lm, tmp_path)
    assert next(lm.model.get_input_embeddings().parameters()).is_meta
    return lm


@torch.inference_mode()
def test_what_is_computed_is_what_it_is_in_memory(offloaded: LanguageModel) -> None:
    lm, vector = tiny_lm(), random_vector()
    assert offloaded.input_device == torch.device("cpu")
    assert torch.equal(record(offloaded, CHATS), record(lm, CHATS))
    assert torch.equal(answer_log_likelihood(offloaded, ANSWERED), answer_log_likelihood(lm, ANSWERED))
    assert torch.equal(logit_differences(offloaded, vector.directions), logit_differences(lm, vector.directions))
    assert offloaded.generate(CHATS, 6) == lm.generate(CHATS, 6)
    answers = []
    for model in (offloaded, lm):
        with Sliders(a=vector).attach(model, tokens="generated") as dial:
            dial.set(a=[0.0, 1.0])
            answers.append(model.generate(CHATS, 6))
    assert answers[0] == answers[1] != lm.generate(CHATS, 6)


def test_it_is_shown_where_its_inputs_go_and_its_weights_are_unknown(offloaded: LanguageModel) -> None:
    assert "meta" not in offloaded._repr_html_()
    assert offloaded.identity.weights is None
    assert offloaded.identity.quantization == "none"
