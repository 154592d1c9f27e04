"""What holds of steering in a model, against passes of the bare model with hooks written by hand.

The right values come from one row at a time, without padding and without a cache, where every token's place is known.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from steering import Gate, LanguageModel, Push, Slider, Sliders, SteeringVector, record, sweep
from steering.scoring.next_token import next_token_log_probabilities

LAYERS = (1, 2)
VALUE = 1.5
PROMPTS = ("Hi", "What of the tide?")
NEW_TOKENS = 4
CHOICES: dict[str, Callable[[int, int], bool]] = {
    "last_prompt_token": lambda index, prompt: index == prompt - 1,
    "generated": lambda index, prompt: index >= prompt,
    "answer": lambda index, prompt: index >= prompt - 1,
    "prompt": lambda index, prompt: index < prompt,
}
Places = Callable[[int], bool]
"""Whether a token is moved, by its index."""


def vector_of(lm: LanguageModel, seed: int = 1) -> SteeringVector:
    directions = 3 * torch.randn(lm.n_layers, lm.d_model, generator=torch.Generator().manual_seed(seed))
    return SteeringVector(directions, recommended_layers=LAYERS)


def stream(output: Any) -> Tensor:
    """The residual stream in what a block returned."""
    return output[0] if isinstance(output, (tuple, list)) else output


@contextmanager
def moved_by_hand(
    lm: LanguageModel, vector: SteeringVector, places: Places, strength: float, goes_on: bool = False
) -> Iterator[None]:
    """Passes of one row with a vector added at places by hooks of our own.

    Each pass holds the row from its first token on or, where it `goes_on`, what follows the pass before.
    """
    counts = dict.fromkeys(LAYERS, 0)

    def push(layer: int, output: Any) -> Any:
        hidden = stream(output).clone()
        for index in range(hidden.shape[1]):
            if places(counts[layer] + index):
                hidden[:, index] += strength * vector.directions[layer]
        counts[layer] += hidden.shape[1] if goes_on else 0
        return type(output)((hidden, *output[1:])) if isinstance(output, (tuple, list)) else hidden

    handles = [
        lm.blocks[layer].register_forward_hook(lambda _block, _inputs, output, layer=layer: push(layer, output))
        for layer in LAYERS
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def plain_pass(lm: LanguageModel, ids: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    """The states behind all blocks, (seq, d_model) each, and the logits (seq, vocabulary) of one row."""
    states: list[Tensor] = []
    handles = [
        block.register_forward_hook(lambda _block, _inputs, output: states.append(stream(output)[0].clone()))
        for block in lm.blocks
    ]
    try:
        logits = lm.model(input_ids=torch.tensor([[*ids]]), use_cache=False).logits[0]
    finally:
        for handle in handles:
            handle.remove()
    return states, logits


def close(found: Tensor, expected: Tensor) -> bool:
    """Whether two results agree within what float32 loses, by the size of the numbers."""
    return found.shape == expected.shape and bool((found - expected).norm() <= 1e-3 * expected.norm())


def check_attach(lm: LanguageModel) -> None:
    """0 is exact, a value moves what a hook of one's own moves, and nothing stays behind."""
    ids = lm.tokenize(PROMPTS[1]).ids
    vector = vector_of(lm)
    bare = plain_pass(lm, ids)[1]
    with Sliders(a=vector).attach(lm) as dial:
        assert torch.equal(plain_pass(lm, ids)[1], bare), "sliders at 0 change the model"
        dial.set(a=VALUE)
        moved = plain_pass(lm, ids)[1]
    assert torch.equal(plain_pass(lm, ids)[1], bare), "the model isn't as before"
    assert not any(block._forward_hooks for block in lm.blocks.modules()), "hooks stay"
    with moved_by_hand(lm, vector, lambda _: True, VALUE):
        expected = plain_pass(lm, ids)[1]
    assert close(moved, expected), "not what a hook would do"
    assert not close(moved, bare), "nothing moved"


def check_extract(lm: LanguageModel) -> None:
    """Recorded states and next-token scores are those of plain passes over each chat alone."""
    passes = [plain_pass(lm, lm.tokenize(prompt).ids) for prompt in PROMPTS]
    for position, place in (("last", -1), ("prompt_end:3", -3)):
        found = record(lm, PROMPTS, position=position)
        expected = torch.stack([torch.stack([state[place] for state in states]) for states, _ in passes])
        assert close(found, expected), f"states at {position}"
    expected = torch.stack([logits[-1].log_softmax(-1) for _, logits in passes])
    assert close(next_token_log_probabilities(lm, PROMPTS), expected), "next-token scores"


@torch.inference_mode()
def written(lm: LanguageModel, ids: Sequence[int], use_cache: bool) -> tuple[list[int], Tensor]:
    """What `generate` writes after a prompt, and the logits of each new token."""
    output = lm.model.generate(
        input_ids=torch.tensor([[*ids]]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0, use_cache=use_cache,
        output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    return output.sequences[0, len(ids) :].tolist(), torch.stack(output.logits)[:, 0]


def written_by_hand(lm: LanguageModel, ids: Sequence[int], answer: Sequence[int]) -> Tensor:
    """The logits of each token of an answer, each from a pass of its own over all before it."""
    return torch.stack([plain_pass(lm, [*ids, *answer[:count]])[1][-1] for count in range(len(answer))])


def check_tokens(lm: LanguageModel, choice: str, use_cache: bool, gate: Gate | None = None) -> None:
    """While an answer is written, the chosen tokens are moved, by as much as a gate lets through, and no others."""
    ids = lm.tokenize(PROMPTS[1]).ids
    vector = vector_of(lm)
    with Sliders(a=Slider((Push(vector, gate=gate),))).attach(lm, tokens=choice) as dial:
        dial.set(a=VALUE)
        answer, logits = written(lm, ids, use_cache)
    factor = 1.0
    if gate is not None:
        factor = float(gate.factors(plain_pass(lm, ids)[0][gate.layer][-1].reshape(1, 1, -1)))
        assert 0.2 < factor < 0.8
    by_hand = writes_as_by_hand(lm, use_cache)
    goes_on = use_cache and not by_hand
    with moved_by_hand(lm, vector, lambda index: CHOICES[choice](index, len(ids)), factor * VALUE, goes_on):
        expected = written_by_hand(lm, ids, answer) if by_hand else written(lm, ids, use_cache)[1]
    assert close(logits, expected), f"{choice} {'with' if use_cache else 'without'} a cache"
    assert not close(logits, written(lm, ids, use_cache)[1]), f"{choice} moves nothing"


def writes_as_by_hand(lm: LanguageModel, use_cache: bool) -> bool:
    """Whether the bare model's `generate` writes what passes by hand give.

    Where it doesn't, the right value for steering is that of the same `generate` under hooks of our own.
    """
    ids = lm.tokenize(PROMPTS[1]).ids
    answer, logits = written(lm, ids, use_cache)
    return close(logits, written_by_hand(lm, ids, answer))


def check_gate(lm: LanguageModel, use_cache: bool) -> None:
    """A gate is read at the prompt's end and holds while the answer is written."""
    states = plain_pass(lm, lm.tokenize(PROMPTS[1]).ids)[0]
    direction = torch.randn(lm.d_model, generator=torch.Generator().manual_seed(5))
    direction = direction / (states[LAYERS[0]][-1] @ direction).abs()  # a score of 1 or -1
    check_tokens(lm, "generated", use_cache, Gate(LAYERS[0], direction, curve="probability"))


def check_sweep(lm: LanguageModel, tokens: str) -> None:
    """A sweep's answers are those of `generate`, one prompt and setting at a time."""
    sliders, settings = Sliders(a=vector_of(lm)), [{}, {"a": VALUE}]
    options: dict[str, Any] = {"max_new_tokens": NEW_TOKENS, "eos_token_id": None}
    answers = sweep(lm, sliders, PROMPTS, settings, tokens=tokens, progress=False, **options)
    with sliders.attach(lm, tokens=tokens) as dial:
        for prompt, found in zip(PROMPTS, answers, strict=True):
            for setting, answer in zip(settings, found, strict=True):
                dial.set(**{"a": 0.0} | setting)
                assert answer == lm.generate([prompt], **options)[0], f"sweep with tokens={tokens!r}"
