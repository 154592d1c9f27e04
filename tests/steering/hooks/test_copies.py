"""Hooks belong to their model: copies of it are bare, and drafts by some of its layers are its own passes."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from steering import Gate, Push, Slider, Sliders, SteeringError
from steering.activations.shared_prefix import is_watched
from steering.formats.baked import to_baked
from tests.helpers.forward_passes import logits
from tests.helpers.tiny import WIDTH, random_vector, thinking_lm, tiny_lm


def gate(tokens: tuple[int, ...] = (1,)) -> Gate:
    generator = torch.Generator().manual_seed(3)
    return Gate(0, 0.3 * torch.randn(len(tokens), WIDTH, generator=generator), curve="probability", tokens=tokens)


def slider(tokens: str, **options: Any) -> Slider:
    return Slider((Push(random_vector(layers=(1, 2)), tokens=tokens, **options),))


SLIDERS = {
    "all": slider("all"),
    "generated": slider("generated"),
    "answer": slider("answer:2"),
    "gated": slider("all", gate=gate()),
    "attention": slider("all", hook_point="attn_out"),
}
COPIES: dict[str, Callable[[nn.Module], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", SLIDERS)
def test_a_copy_of_an_attached_model_is_bare(name: str, how: str) -> None:
    lm = thinking_lm() if name == "answer" else tiny_lm()
    bare, answers = logits(lm), lm.generate(["Hi", "Who?"], 6)
    with Sliders(a=SLIDERS[name]).attach(lm) as dial:
        dial.set(a=2.0)
        steered = lm.generate(["Hi", "Who?"], 6)
        copied = copy.copy(lm)
        object.__setattr__(copied, "model", COPIES[how](lm.model))
        object.__setattr__(copied, "blocks", copied.model.model.layers)
        assert torch.equal(logits(copied), bare)
        assert copied.generate(["Hi", "Who?"], 6) == answers
        assert not is_watched(copied)
        with Sliders(a=SLIDERS[name]).attach(copied) as other:
            other.set(a=2.0)
            assert copied.generate(["Hi", "Who?"], 6) == steered
            assert lm.generate(["Hi", "Who?"], 6) == steered
        assert copied.generate(["Hi", "Who?"], 6) == answers
    assert lm.generate(["Hi", "Who?"], 6) == answers != steered


def test_a_copied_language_model_and_its_inner_model_are_bare() -> None:
    lm = tiny_lm()
    answers = lm.generate(["Hi"], 6)
    ids = torch.tensor([lm.tokenize("Hi").ids])
    states = lm.model.model(ids).last_hidden_state
    with Sliders(a=SLIDERS["all"]).attach(lm) as dial:
        dial.set(a=2.0)
        assert copy.deepcopy(lm).generate(["Hi"], 6) == answers
        assert torch.equal(copy.deepcopy(lm.model.model)(ids).last_hidden_state, states)


def test_a_model_is_baked_the_same_under_a_standing_dial(tmp_path: Path) -> None:
    lm = tiny_lm()
    to_baked(SLIDERS["all"], tmp_path / "bare", lm)
    with Sliders(a=random_vector(5)).attach(lm) as dial:
        dial.set(a=2.0)
        to_baked(SLIDERS["all"], tmp_path / "steered", lm)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("bare", "steered")]
    assert weights[0] == weights[1]


DRAFTS = [{"assistant_early_exit": layers} for layers in (1, 2, 3)] + [{"prompt_lookup_num_tokens": 3}]


@pytest.mark.parametrize("options", DRAFTS, ids=str)
@pytest.mark.parametrize("read", [(1,), (1, 3)])
@pytest.mark.parametrize("tokens", ["all", "generated", "answer:3", "prompt"])
def test_drafts_change_no_answer_behind_a_gate(tokens: str, read: tuple[int, ...], options: dict[str, int]) -> None:
    lm = tiny_lm()
    with Sliders(a=slider(tokens, gate=gate(read))).attach(lm) as dial:
        dial.set(a=1.0)
        for prompt in ("Hi", "What is the tide?"):
            greedy = lm.generate([prompt], 12, eos_token_id=None)
            assert lm.generate([prompt], 12, eos_token_id=None, **options) == greedy
    assert lm.model.config.num_hidden_layers == lm.n_layers


def test_guidance_whose_negative_prompt_a_gate_cant_read_is_refused_by_name() -> None:
    lm = tiny_lm()
    with Sliders(a=slider("all", gate=gate((1, 2)))).attach(lm) as dial:
        dial.set(a=1.0)
        with pytest.raises(SteeringError, match="negative prompts of guidance_scale too"):
            lm.generate(["Hi"], 4, guidance_scale=1.5)  # its negative prompt is the prompt's last token
        negative = torch.tensor([lm.tokenize("Bye").ids])
        assert lm.generate(["Hi"], 4, guidance_scale=1.5, negative_prompt_ids=negative)
