"""Steering inside `generate`: caches, padding, batches, beams, tokens to move change nothing but what they should."""

from typing import Any

import pytest
import torch
from torch import Tensor

from steering import LanguageModel, Push, Slider, Sliders, SteeringError, sweep
from steering.hooks.prompt_caches import Allows
from steering.interventions.gates import Gate
from steering.models.token_positions import POSITIONS
from tests.helpers.tiny import LAYERS, random_vector, tiny_lm

PROMPTS = ["Hi", "What is the tide?", "Tell me of boats."]
FAMILIES = ("Llama", "Gemma3", "GPT2", "Bloom")
"""Rotary and sliding, learned and ALiBi positions: what padding and caches may break."""
TOKENS = [choice.replace("end:K", "end:1").replace("K", "3") for choice in POSITIONS if choice != "thought"]


def padded(lm: LanguageModel, side: str) -> tuple[dict[str, Tensor], list[list[int]]]:
    rows = [lm.tokenize(prompt).ids for prompt in PROMPTS]
    width = max(map(len, rows))
    fill = [[0] * (width - len(row)) for row in rows]
    ids = [gap + row if side == "left" else row + gap for gap, row in zip(fill, rows, strict=True)]
    mask = [[0] * len(gap) + [1] * len(row) for gap, row in zip(fill, rows, strict=True)]
    mask = mask if side == "left" else [line[::-1] for line in mask]
    positions = (torch.tensor(mask).cumsum(1) - 1).clamp(min=0)
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask), "position_ids": positions}
    return inputs, rows


@torch.inference_mode()
def new_tokens(lm: LanguageModel, **options: Any) -> Tensor:
    inputs, _ = padded(lm, "left")
    settings = {"max_new_tokens": 10, "do_sample": False, "pad_token_id": 0, "eos_token_id": None} | options
    del inputs["position_ids"]
    return lm.model.generate(**inputs, **settings)[:, inputs["input_ids"].shape[1] :]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tokens", TOKENS)
def test_decoding_with_and_without_a_cache_agrees(family: str, tokens: str) -> None:
    lm = tiny_lm(family)
    bare = new_tokens(lm)
    with Sliders(a=random_vector()).attach(lm, tokens=tokens) as dial:
        dial.set(a=[1.0, -1.0, 2.0])
        cached = new_tokens(lm, use_cache=True)
        assert torch.equal(cached, new_tokens(lm, use_cache=False))
    assert not torch.equal(cached, bare)


@pytest.mark.parametrize("tokens", TOKENS)
def test_a_static_cache_agrees_with_a_growing_one(tokens: str) -> None:
    lm = tiny_lm()
    with Sliders(a=random_vector()).attach(lm, tokens=tokens) as dial:
        dial.set(a=[1.0, -1.0, 2.0])
        growing = new_tokens(lm)
        assert torch.equal(new_tokens(lm, cache_implementation="static", disable_compile=True), growing)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tokens", TOKENS)
@torch.inference_mode()
def test_left_right_and_no_padding_agree_on_the_real_tokens(family: str, tokens: str) -> None:
    lm = tiny_lm(family)
    with Sliders(a=random_vector()).attach(lm, tokens=tokens) as dial:
        dial.set(a=1.5)
        results = {}
        for side in ("left", "right"):
            inputs, rows = padded(lm, side)
            if family == "Bloom":
                del inputs["position_ids"]  # ALiBi takes them from the mask
            logits = lm.model(**inputs).logits
            results[side] = [line[mask.bool()] for line, mask in zip(logits, inputs["attention_mask"], strict=True)]
        for index, row in enumerate(rows):
            alone = lm.model(input_ids=torch.tensor([row])).logits[0]
            for side in ("left", "right"):
                torch.testing.assert_close(results[side][index], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_equals_runs_of_one(family: str, tokens: str) -> None:
    lm = tiny_lm(family)
    values = [1.0, 0.0, -2.0]
    with Sliders(a=random_vector()).attach(lm, tokens=tokens) as dial:
        dial.set(a=values)
        together = lm.generate(PROMPTS, 8, eos_token_id=None)
        for prompt, value, answer in zip(PROMPTS, values, together, strict=True):
            dial.set(a=value)
            assert lm.generate([prompt], 8, eos_token_id=None) == [answer]


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("use_cache", [True, False])
def test_beams_keep_the_coefficients_of_their_rows(tokens: str, use_cache: bool) -> None:
    lm = tiny_lm()
    values = [2.0, 0.0, -2.0]
    beams: dict[str, Any] = {"num_beams": 3, "eos_token_id": None, "use_cache": use_cache}
    with Sliders(a=random_vector()).attach(lm, tokens=tokens) as dial:
        dial.set(a=values)
        together = lm.generate(PROMPTS, 6, **beams)
        several = lm.generate(PROMPTS, 6, num_return_sequences=2, **beams)
        for prompt, value, answer in zip(PROMPTS, values, together, strict=True):
            dial.set(a=value)
            assert lm.generate([prompt], 6, **beams) == [answer]
    assert several[::2] == together


def test_coefficients_are_one_a_row_of_the_caller_not_one_a_beam() -> None:
    lm = tiny_lm()
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=[1.0] * 6)
        with pytest.raises(SteeringError, match="the batch's 3 rows, found 6"):
            lm.generate(PROMPTS, 4, num_beams=2)


def steered_positions(lm: LanguageModel, tokens: str, prompt_length: int, length: int, ids: Tensor) -> list[bool]:
    """Where a block's output moved in one plain pass whose prompt is declared."""
    states: list[Tensor] = []
    vector = random_vector(layers=(0,))
    with Sliders(a=vector).attach(lm, tokens=tokens) as dial, dial.prompt_lengths([prompt_length]):
        handle = lm.blocks[0].register_forward_hook(lambda _m, _i, output: states.append(output))
        with torch.inference_mode():
            lm.model(input_ids=ids)
            dial.set(a=1.0)
            lm.model(input_ids=ids)
        handle.remove()
    return (states[0] != states[1]).any(-1)[0].tolist()


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ("all", [True] * 8),
        ("prompt", [True] * 5 + [False] * 3),
        ("generated", [False] * 5 + [True] * 3),
        ("answer", [False] * 4 + [True] * 4),
        ("answer:1", [False] * 4 + [True] + [False] * 3),
        ("answer:3", [False] * 4 + [True] * 3 + [False]),
        ("answer:9", [False] * 4 + [True] * 4),
        ("last_prompt_token", [False] * 4 + [True] + [False] * 3),
        ("from_token:6", [False] * 6 + [True] * 2),
    ],
)
def test_each_choice_moves_its_tokens_and_no_others(tokens: str, expected: list[bool]) -> None:
    lm = tiny_lm()
    ids = torch.arange(10, 18).unsqueeze(0)
    assert steered_positions(lm, tokens, 5, 8, ids) == expected


@pytest.mark.parametrize("count", [1, 2, 5])
@torch.inference_mode()
def test_the_first_tokens_of_an_answer_are_those_that_a_hook_of_ones_own_would_move(count: int) -> None:
    lm = tiny_lm()
    vector = random_vector(layers=(1,))
    with Sliders(a=vector).attach(lm, tokens=f"answer:{count}") as dial:
        dial.set(a=1.5)
        cached = new_tokens(lm)
        assert torch.equal(new_tokens(lm, use_cache=False), cached)
        dial.set(a=0.0)
        bare = new_tokens(lm)
    rows = []
    for prompt in PROMPTS:
        ids = lm.tokenize(prompt).ids
        moved = slice(len(ids) - 1, len(ids) - 1 + count)

        def push(_module: object, _inputs: object, output: Tensor, moved: slice = moved) -> Tensor:
            output = output.clone()
            output[:, moved] += 1.5 * vector.directions[1]
            return output

        handle = lm.blocks[1].register_forward_hook(push)
        for _ in range(cached.shape[1]):
            ids = [*ids, int(lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())]
        handle.remove()
        rows.append(ids[-cached.shape[1] :])
    assert cached.tolist() == rows
    assert not torch.equal(cached, bare)
    with Sliders(a=vector).attach(lm, tokens="last_prompt_token" if count == 1 else "answer") as dial:
        dial.set(a=1.5)
        assert torch.equal(new_tokens(lm), cached) == (count == 1)


@pytest.mark.parametrize("tokens", TOKENS)
@torch.inference_mode()
def test_a_plain_loop_of_cached_steps_steers_like_generate(tokens: str) -> None:
    lm = tiny_lm()
    ids = torch.tensor([lm.tokenize("What is the tide?").ids])
    with Sliders(a=random_vector()).attach(lm, tokens=tokens) as dial:
        dial.set(a=1.5)
        expected = lm.model.generate(ids, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)
        for _ in range(2):  # a second prompt starts afresh
            sequence, step, cache = ids, ids, None
            for _ in range(6):
                output = lm.model(input_ids=step, past_key_values=cache, use_cache=True)
                cache, step = output.past_key_values, output.logits[:, -1:].argmax(-1)
                sequence = torch.cat([sequence, step], dim=1)
            assert torch.equal(sequence, expected)


@torch.inference_mode()
def test_a_mask_may_be_passed_by_position() -> None:
    lm = tiny_lm()
    inputs, _ = padded(lm, "right")
    with Sliders(a=random_vector()).attach(lm, tokens="last_prompt_token") as dial:
        dial.set(a=1.0)
        by_name = lm.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        assert torch.equal(lm.model(inputs["input_ids"], inputs["attention_mask"]).logits, by_name)


def test_chunked_prefill_steers_the_same() -> None:
    lm = tiny_lm()
    ids = torch.tensor([lm.tokenize("What is the tide doing today?").ids])
    settings = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    with Sliders(a=random_vector()).attach(lm, tokens="last_prompt_token") as dial:
        dial.set(a=2.0)
        whole = lm.model.generate(ids, **settings)
        assert torch.equal(lm.model.generate(ids, prefill_chunk_size=8, **settings), whole)


@torch.inference_mode()
def test_a_plain_pass_after_generate_is_a_prompt_of_its_own() -> None:
    lm = tiny_lm()
    ids = torch.randint(5, 270, (2, 30), generator=torch.Generator().manual_seed(0))
    bare = lm.model(input_ids=ids).logits
    with Sliders(a=random_vector()).attach(lm, tokens="generated") as dial:
        dial.set(a=[1.0, 1.0, 1.0])
        lm.generate(PROMPTS, 4)
        dial.set(a=[1.0, 2.0])
        assert torch.equal(lm.model(input_ids=ids).logits, bare)  # all prompt, nothing generated


def test_a_choice_of_tokens_needs_the_whole_model_to_run() -> None:
    lm = tiny_lm()
    with (
        Sliders(a=random_vector()).attach(lm, tokens="prompt"),
        pytest.raises(SteeringError, match="a forward pass of the whole attached model"),
    ):
        lm.model.model(input_ids=torch.tensor([[7, 8]]))


def test_each_axis_may_have_its_own_tokens() -> None:
    lm = tiny_lm()
    a, b = random_vector(1), random_vector(2)
    with Sliders(a=a, b=b).attach(lm, tokens={"b": "generated"}) as dial:
        dial.set(a=1.0, b=1.0)
        both = new_tokens(lm)
    with Sliders(a=a).attach(lm) as first, Sliders(b=b).attach(lm, tokens="generated") as second:
        first.set(a=1.0)
        second.set(b=1.0)
        assert torch.equal(new_tokens(lm), both)


@pytest.mark.parametrize("tokens", ["everything", "from_token", "from_token:-1", "generated:3"])
def test_an_unknown_choice_of_tokens_is_refused(tokens: str) -> None:
    with pytest.raises(SteeringError, match="no token position"):
        Sliders(a=random_vector()).attach(tiny_lm(), tokens=tokens)
    with pytest.raises(SteeringError, match="no axis 'b'"):
        Sliders(a=random_vector()).attach(tiny_lm(), tokens={"b": "all"})


def test_options_of_generate_are_passed_through() -> None:
    lm = tiny_lm()
    torch.manual_seed(0)
    first = lm.generate(PROMPTS, 12, do_sample=True, temperature=1.5)
    torch.manual_seed(0)
    assert lm.generate(PROMPTS, 12, do_sample=True, temperature=1.5) == first
    assert first != lm.generate(PROMPTS, 12)


def test_a_sweep_refuses_an_unknown_axis() -> None:
    with pytest.raises(SteeringError, match="no axis 'b'"):
        sweep(tiny_lm(), Sliders(a=random_vector()), PROMPTS, [{"b": 1.0}], progress=False)


def plain_loop(
    lm: LanguageModel, sliders: Sliders, settings: list[dict[str, float]], max_new_tokens: int, **options: Any
) -> list[list[str]]:
    """The answers of one `generate` call a prompt and setting."""
    answers = []
    with sliders.attach(lm, tokens=options.pop("tokens", None)) as dial:
        for prompt in PROMPTS:
            answers.append([])
            for setting in settings:
                dial.set(**dict.fromkeys(sliders.axes, 0.0) | setting)
                answers[-1].append(lm.chat(prompt, max_new_tokens, **options))
    return answers


SETTINGS = [{}, {"a": 1.0}, {"a": -1.0, "b": 0.5}]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tokens", [*TOKENS, {"a": "all", "b": "generated"}])
@pytest.mark.parametrize("rows_per_batch", [2, 7])
def test_a_sweep_gives_the_answers_of_single_runs(family: str, tokens: Any, rows_per_batch: int) -> None:
    lm = tiny_lm(family)
    operation = Slider((Push(random_vector(2), layers=(1, 3), intervention="add_keeping_norm"),))
    sliders = Sliders(a=random_vector(1, layers=(2,)), b=operation)
    answers = sweep(
        lm, sliders, PROMPTS, SETTINGS, max_new_tokens=5, rows_per_batch=rows_per_batch, tokens=tokens, progress=False
    )
    assert answers == plain_loop(lm, sliders, SETTINGS, 5, tokens=tokens)
    assert any(len(set(row)) > 1 for row in answers)


@pytest.mark.parametrize("tokens", ["all", "answer", "answer:2", "last_prompt_token", "generated"])
def test_a_sweep_of_gated_sliders_gives_the_answers_of_single_runs(tokens: str) -> None:
    lm = tiny_lm()
    gate = Gate(1, torch.randn(2, 32, generator=torch.Generator().manual_seed(4)), curve="probability", tokens=(1, 3))
    sliders = Sliders(a=Slider((Push(random_vector(1), layers=(1, 2), gate=gate),)), b=random_vector(2))
    answers = sweep(lm, sliders, PROMPTS, SETTINGS, max_new_tokens=5, tokens=tokens, progress=False)
    assert answers == plain_loop(lm, sliders, SETTINGS, 5, tokens=tokens)


@pytest.mark.parametrize("options", [{"num_beams": 2}, {"use_cache": False}, {"eos_token_id": 70}])
def test_a_sweep_passes_options_on(options: dict[str, Any]) -> None:
    lm = tiny_lm()
    sliders = Sliders(a=random_vector(1), b=random_vector(2))
    answers = sweep(lm, sliders, PROMPTS, SETTINGS, max_new_tokens=5, progress=False, **options)
    assert answers == plain_loop(lm, sliders, SETTINGS, 5, **options)


@pytest.mark.parametrize(("tokens", "shared_layers"), [("all", 2), ("answer", LAYERS), ("answer:2", LAYERS)])
def test_a_sweep_runs_what_the_settings_share_once(tokens: str, shared_layers: int) -> None:
    """Tokens that every block saw: the prompt once below the first move, once a setting from there on."""
    lm = tiny_lm()
    Allows.of(lm)  # trials run once, before the count
    common = lm.tokenize("").ids[:-2]  # the template's opening; its last two tokens follow the text
    prompt_tokens = sum(len(lm.tokenize(prompt).ids) - 1 - len(common) for prompt in PROMPTS) + len(common)
    seen = [0] * LAYERS
    handles = [
        block.register_forward_pre_hook(
            lambda _block, inputs, layer=layer: seen.__setitem__(layer, seen[layer] + inputs[0].shape[:2].numel())
        )
        for layer, block in enumerate(lm.blocks)
    ]
    sliders = Sliders(a=random_vector(layers=(1, 2)))
    settings = [{"a": value} for value in (-1.0, 0.0, 1.0, 2.0)]
    sweep(lm, sliders, PROMPTS, settings, max_new_tokens=3, tokens=tokens, progress=False, eos_token_id=None)
    for handle in handles:
        handle.remove()
    decoded = 3 * len(PROMPTS) * len(settings)  # the last prompt token and two new ones
    assert seen == [
        decoded + prompt_tokens * (1 if layer < shared_layers else len(settings)) for layer in range(LAYERS)
    ]
