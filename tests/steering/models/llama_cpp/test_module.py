"""A GGUF file in llama.cpp is the model that PyTorch runs: read, written with, and moved by the same hooks."""

import copy
import re
import subprocess
import sys
from typing import Any

import pytest
import torch

from steering import Gate, LanguageModel, Push, Slider, Sliders, extract, record, sweep
from steering.errors import SteeringError
from steering.interventions import INTERVENTIONS, tensor_names
from steering.models.llama_cpp.context import Token
from steering.scoring.next_token import next_token_log_probabilities
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.gguf_files import needs_llama_cpp
from tests.helpers.tiny import WIDTH, random_vector
from tests.steering.models.llama_cpp.conftest import Both

pytestmark = needs_llama_cpp
PROMPTS = ["Why is the sky blue?", "Hi", "How do I kill a Python process that hangs for hours?"]
TOKENS = ["all", "prompt", "generated", "answer", "answer:2", "last_prompt_token", "prompt_end:2", "from_token:3"]


def near(both: Both, found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=both.largest, rtol=both.largest)


def padded(both: Both, side: str) -> dict[str, torch.Tensor]:
    rows = [both.torch.tokenize(prompt).ids for prompt in PROMPTS]
    width = max(map(len, rows))
    ids, mask = torch.zeros(3, width, dtype=torch.long), torch.zeros(3, width, dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(width - len(row), None) if side == "left" else slice(len(row))
        ids[number, place], mask[number, place] = torch.tensor(row), 1
    return {"input_ids": ids, "attention_mask": mask}


def written(lm: LanguageModel, both: Both, **options: Any) -> torch.Tensor:
    """Token ids: the GGUF file has names for tokens that the tokenizer has none for."""
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0} | options
    return lm.model.generate(**padded(both, "left"), **options)


def test_it_is_the_same_model_with_the_same_tokens(both: Both) -> None:
    assert (both.llama.n_layers, both.llama.d_model) == (both.torch.n_layers, both.torch.d_model)
    assert [both.llama.tokenize(prompt) for prompt in PROMPTS] == [both.torch.tokenize(prompt) for prompt in PROMPTS]
    assert both.llama.model.num_parameters() == sum(each.numel() for each in both.torch.model.parameters())
    assert both.llama.identity.config == both.torch.identity.config


@pytest.mark.parametrize("layers", [None, [1], [0, 3]])
@pytest.mark.parametrize("position", ["last", "all", "post_instruction"])
def test_blocks_put_out_what_they_put_out_in_pytorch(both: Both, layers: list[int] | None, position: str) -> None:
    near(both, *(record(lm, PROMPTS, layers=layers, position=position) for lm in (both.llama, both.torch)))


@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_are_pytorchs_wherever_rows_are_padded(both: Both, side: str) -> None:
    batch = padded(both, side)
    positions = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
    found, expected = (lm.model(**batch, position_ids=positions).logits for lm in (both.llama, both.torch))
    real = batch["attention_mask"].bool()
    near(both, found[real], expected[real])
    kept = both.llama.model(**batch, position_ids=positions, logits_to_keep=torch.tensor([2, 5])).logits
    near(both, kept[real[:, [2, 5]]], expected[:, [2, 5]][real[:, [2, 5]]])


def test_first_tokens_have_pytorchs_probabilities(both: Both) -> None:
    near(both, *(next_token_log_probabilities(lm, PROMPTS) for lm in (both.llama, both.torch)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_cache": False},
        {"num_beams": 3},
        {"num_beams": 2, "num_return_sequences": 2},
        {"repetition_penalty": 1.3},
    ],
    ids=str,
)
def test_it_writes_what_pytorch_writes(both: Both, options: dict[str, Any]) -> None:
    assert torch.equal(written(both.llama, both, **options), written(both.torch, both, **options))
    assert not both.llama.model.runtime._lengths, "all sequences are given back"


@pytest.mark.parametrize("tokens", TOKENS)
def test_sliders_move_the_tokens_that_they_move_in_pytorch(both: Both, tokens: str) -> None:
    sliders = Sliders(a=random_vector(1) * 3.0, b=random_vector(2) * 3.0)
    found = []
    for lm in both[:2]:
        with sliders.attach(lm, tokens=tokens, allow_mismatch=["weights", "quantization"]) as dial:
            dial.set(a=[1.0, 0.0, -1.0], b=[0.0, 0.0, 2.0])
            output = written(lm, both, output_logits=True, return_dict_in_generate=True)
            found.append((output.sequences, torch.stack(output.logits)))
    assert torch.equal(found[0][0], found[1][0])
    near(both, found[0][1], found[1][1])


@pytest.mark.parametrize("intervention", INTERVENTIONS)
@pytest.mark.parametrize("layers", [(0,), (3,), (1, 2, 3)])
def test_every_intervention_does_what_it_does_in_pytorch(
    both: Both, intervention: str, layers: tuple[int, ...]
) -> None:
    vector = random_vector(3)
    tensors = {name: random_vector(4).directions for name in tensor_names(intervention)}
    slider = Slider((Push(vector, layers, 2.0, intervention, tensors),))
    found = []
    for lm in both[:2]:
        with Sliders(a=slider).attach(lm, allow_mismatch=["weights", "quantization"]) as dial:
            dial.set(a=0.7)
            found.append(record(lm, PROMPTS, position="all"))
    near(both, *found)


@pytest.mark.parametrize("curve", ["step", "probability", "line"])
@pytest.mark.parametrize("cosine", [False, True])
def test_gates_read_and_act_as_in_pytorch(both: Both, curve: str, cosine: bool) -> None:
    direction = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(5))
    gate = Gate(1, direction, curve=curve, cosine=cosine, tokens=(1, 3), low=-2.0, high=2.0)
    push = Push(random_vector(6), (1, 2), 4.0, tokens="answer", gate=gate)
    found = []
    for lm in both[:2]:
        with Sliders(a=Slider((push,))).attach(lm, allow_mismatch=["weights", "quantization"]) as dial:
            dial.set(a=1.0)
            found.append((written(lm, both), next_token_log_probabilities(lm, PROMPTS)))
    assert torch.equal(found[0][0], found[1][0])
    near(both, found[0][1], found[1][1])


def test_sliders_at_0_leave_every_bit(both: Both) -> None:
    batch = padded(both, "right")
    bare = both.llama.model(**batch).logits
    with Sliders(a=random_vector(1)).attach(both.llama, allow_mismatch=["weights", "quantization"]):
        assert torch.equal(both.llama.model(**batch).logits, bare)
    assert torch.equal(both.llama.model(**batch).logits, bare)


def test_sweeps_write_what_they_write_in_pytorch(both: Both) -> None:
    sliders = Sliders(a=random_vector(1) * 3.0, b=Slider((Push(random_vector(2), strength=3.0, tokens="generated"),)))
    settings = [{}, {"a": 1.0}, {"b": 2.0}, {"a": -1.0, "b": 1.0}]
    unnamed = {name: slider.along(lambda vector: 1.0 * vector) for name, slider in sliders.items()}
    answers = [sweep(lm, unnamed, PROMPTS, settings, max_new_tokens=6, progress=False) for lm in both[:2]]
    plain = [[[re.sub(r"\[PAD\d+\]", "", text) for text in texts] for texts in of_engine] for of_engine in answers]
    assert plain[0] == plain[1]


def test_directions_are_pytorchs(both: Both) -> None:
    vectors = [extract(lm, prompt_pairs(30), progress=False) for lm in both[:2]]
    near(both, vectors[0].directions, vectors[1].directions)
    assert vectors[0].recommended_layers == vectors[1].recommended_layers


def test_caches_copy_grow_and_are_given_back(both: Both) -> None:
    model = both.llama.model
    ids = torch.tensor([both.llama.tokenize(PROMPTS[2]).ids])
    whole = model(input_ids=ids).logits
    cache = model(input_ids=ids[:, :5], use_cache=True).past_key_values
    copies = [copy.deepcopy(cache) for _ in range(5)]  # more than the context had numbers for
    for one in (cache, *copies):
        near(both, model(input_ids=ids[:, 5:], past_key_values=one).logits, whole[:, 5:])
    assert sorted(model.runtime._lengths.values()) == [ids.shape[1]] * 6
    del cache, copies, one
    assert not model.runtime._lengths


def test_what_a_hook_raises_reaches_the_caller_and_leaves_the_cache_as_it_was(both: Both) -> None:
    model = both.llama.model
    ids = torch.tensor([both.llama.tokenize(PROMPTS[2]).ids])
    whole = model(input_ids=ids).logits
    cache = model(input_ids=ids[:, :5], use_cache=True).past_key_values

    def fail(*_: object) -> None:
        raise ZeroDivisionError("in a hook")

    for block in model.blocks:
        handle = block.register_forward_hook(fail)
        with pytest.raises(ZeroDivisionError, match="in a hook"):
            model(input_ids=ids[:, 5:], past_key_values=cache)
        handle.remove()
    near(both, model(input_ids=ids[:, 5:], past_key_values=cache).logits, whole[:, 5:])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"inputs_embeds": torch.zeros(1, 3, WIDTH), "input_ids": None}, "Expected token ids for llama.cpp"),
        ({"output_hidden_states": True}, "no attentions or hidden states"),
        ({"attention_mask": torch.ones(1, 1, 3, 3)}, r"Expected an attention mask of shape \(rows, 3\)"),
        ({"position_ids": torch.tensor([[0, 2, 3]])}, "position_ids that leave gaps"),
        ({"past_key_values": object()}, "Expected a cache that this model returned, found 'object'"),
    ],
)
def test_what_llama_cpp_cannot_take_is_refused(both: Both, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SteeringError, match=sentence):
        both.llama.model(**{"input_ids": torch.tensor([[5, 6, 7]])} | options)


def test_a_hook_that_changes_the_shape_is_refused(both: Both) -> None:
    handle = both.llama.blocks[1].register_forward_hook(lambda *found: found[2].repeat(2, 1, 1))
    with pytest.raises(SteeringError, match="Expected a hook to return states of shape"):
        both.llama.model(input_ids=torch.tensor([[5, 6, 7]]))
    handle.remove()


def test_states_that_are_no_rows_of_the_pass_are_refused(both: Both) -> None:
    context = both.llama.model.runtime._context
    with pytest.raises(SteeringError, match="Expected up to"):
        context.decode([Token(1, 0, 0)] * (context.room.batch + 1))


@pytest.mark.slow
def test_python_ends_well_with_caches_kept(both: Both) -> None:
    script = (
        "import sys, torch; from pathlib import Path\n"
        "from steering.models.llama_cpp.context import GgufModel, Room\n"
        "from steering.models.llama_cpp.runtime import Runtime\n"
        "from steering.models.llama_cpp.sequence_cache import SequenceCache\n"
        "runtime = Runtime(GgufModel(Path(sys.argv[1])), Room(256, 64, 2, 2, threads=1))\n"
        "kept = [SequenceCache(runtime, 1) for _ in range(9)]  # more than the first context had numbers for\n"
    )
    command = [sys.executable, "-c", script, str(both.llama.model.runtime.model.path)]
    assert subprocess.run(command, check=False).returncode == 0
