"""What holds of steering in a model, against passes of the bare model with hooks written by hand.

The right values come from one row at a time, without padding and without a cache, where every token's place is known.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from steering import Gate, LanguageModel, Push, Slider, Sliders, SteeringVector, record, sweep
from steering.scoring.next_token import next_token_log_probabilities

LAYERS = (1, 2)
VALUE = 1.5
PROMPTS = ("Hi", "What of the tide?")
NEW_TOKENS = 2
CHOICES: dict[str, Callable[[int, int], bool]] = {
    "last_prompt_token": lambda index, prompt: index == prompt - 1,
    "generated": lambda index, prompt: index >= prompt,
    "answer": lambda index, prompt: index >= prompt - 1,
    "prompt": lambda index, prompt: index < prompt,
}


class FamilyChecks:
    """Checks of one model; each raises AssertionError that says what is wrong."""

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm
        self.rows = [lm.tokenize(prompt).ids for prompt in PROMPTS]
        self.ids = self.rows[1]
        directions = 3 * torch.randn(lm.n_layers, lm.d_model, generator=torch.Generator().manual_seed(1))
        self.vector = SteeringVector(directions, recommended_layers=LAYERS)

    def attach(self) -> None:
        """0 is exact, a value moves what a hook of one's own moves, and nothing stays behind."""
        bare = self.plain_pass(self.ids)[1]
        with Sliders(a=self.vector).attach(self.lm) as dial:
            assert torch.equal(self.plain_pass(self.ids)[1], bare), "sliders at 0 change the model"
            dial.set(a=VALUE)
            moved = self.plain_pass(self.ids)[1]
        assert torch.equal(self.plain_pass(self.ids)[1], bare), "the model isn't as before"
        assert not any(module._forward_hooks for module in self.lm.model.modules()), "hooks stay"
        with self.moved_by_hand(lambda _: True):
            expected = self.plain_pass(self.ids)[1]
        assert close(moved, expected), "not what a hook would do"
        assert not close(moved, bare), "nothing moved"

    def extract(self) -> None:
        """Recorded states and next-token scores are those of plain passes over each chat alone."""
        passes = [self.plain_pass(ids) for ids in self.rows]
        for position, place in (("last", -1), ("prompt_end:3", -3)):
            found = record(self.lm, PROMPTS, position=position)
            expected = torch.stack([torch.stack([state[place] for state in states]) for states, _ in passes])
            assert close(found, expected), f"states at {position}"
        expected = torch.stack([logits[-1].log_softmax(-1) for _, logits in passes])
        assert close(next_token_log_probabilities(self.lm, PROMPTS), expected), "next-token scores"

    def tokens(self) -> None:
        """While an answer is written, the chosen tokens are moved and no others, with a cache and without."""
        for choice in CHOICES:
            for use_cache in (True, False):
                self._tokens(choice, use_cache)

    def gate(self) -> None:
        """A gate is read at the prompt's end and holds while the answer is written."""
        states: list[Tensor] = []
        read = lambda _block, _inputs, output: states.append(stream(output)[0, -1])  # noqa: E731
        handle = self.lm.blocks[LAYERS[0]].register_forward_hook(read)
        self.written(True)
        handle.remove()
        direction = torch.randn(self.lm.d_model, generator=torch.Generator().manual_seed(5))
        direction = direction / (states[0] @ direction).abs()  # a score of 1 or -1
        gate = Gate(LAYERS[0], direction, curve="probability")
        self._tokens("generated", True, gate, float(gate.factors(states[0].reshape(1, 1, -1))))

    def sweep(self) -> None:
        """A sweep's answers are those of `generate`, one prompt and setting at a time."""
        sliders, settings = Sliders(a=self.vector), [{}, {"a": VALUE}]
        options: dict[str, Any] = {"max_new_tokens": NEW_TOKENS, "eos_token_id": None}
        for tokens in ("all", "answer"):
            answers = sweep(self.lm, sliders, PROMPTS, settings, tokens=tokens, progress=False, **options)
            with sliders.attach(self.lm, tokens=tokens) as dial:
                for prompt, found in zip(PROMPTS, answers, strict=True):
                    for setting, answer in zip(settings, found, strict=True):
                        dial.set(**{"a": 0.0} | setting)
                        assert answer == self.lm.generate([prompt], **options)[0], f"sweep on {tokens}"

    @cached_property
    def writes_by_hand(self) -> dict[bool, bool]:
        """Whether the bare model's `generate` writes what passes by hand give, with a cache (True) and without.

        Where it doesn't, the right value for steering is that of the same `generate` under hooks of our own.
        """
        return {kind: close(logits, self.written_by_hand(answer)) for kind, (answer, logits) in self.bare.items()}

    @cached_property
    def bare(self) -> dict[bool, tuple[list[int], Tensor]]:
        """What the bare model writes, with a cache (True) and without, and the logits."""
        return {use_cache: self.written(use_cache) for use_cache in (True, False)}

    def _tokens(self, choice: str, use_cache: bool, gate: Gate | None = None, factor: float = 1.0) -> None:
        with Sliders(a=Slider((Push(self.vector, gate=gate),))).attach(self.lm, tokens=choice) as dial:
            dial.set(a=VALUE)
            answer, logits = self.written(use_cache)
        by_hand = self.writes_by_hand[use_cache]
        chosen = CHOICES[choice]
        with self.moved_by_hand(
            lambda index: chosen(index, len(self.ids)), factor * VALUE, goes_on=use_cache and not by_hand
        ):
            expected = self.written_by_hand(answer) if by_hand else self.written(use_cache)[1]
        assert close(logits, expected), f"{choice} {'with' if use_cache else 'without'} a cache"
        assert not close(logits, self.bare[use_cache][1]), f"{choice} moves nothing"

    @contextmanager
    def moved_by_hand(
        self, places: Callable[[int], bool], strength: float = VALUE, goes_on: bool = False
    ) -> Iterator[None]:
        """Passes of one row with the vector added at places by hooks of our own.

        Each pass holds the row from its first token on or, where it `goes_on`, what follows the pass before.
        """
        counts = dict.fromkeys(LAYERS, 0)

        def push(layer: int, output: Any) -> Any:
            hidden = stream(output).clone()
            for index in range(hidden.shape[1]):
                if places(counts[layer] + index):
                    hidden[:, index] += strength * self.vector.directions[layer]
            counts[layer] += hidden.shape[1] if goes_on else 0
            return type(output)((hidden, *output[1:])) if isinstance(output, tuple | list) else hidden

        handles = [
            self.lm.blocks[layer].register_forward_hook(
                lambda _block, _inputs, output, layer=layer: push(layer, output)
            )
            for layer in LAYERS
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.inference_mode()
    def plain_pass(self, ids: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """The states behind all blocks, (seq, d_model) each, and the logits (seq, vocabulary) of one row."""
        states: list[Tensor] = []
        handles = [
            block.register_forward_hook(lambda _block, _inputs, output: states.append(stream(output)[0].clone()))
            for block in self.lm.blocks
        ]
        try:
            logits = self.lm.model(input_ids=torch.tensor([[*ids]]), use_cache=False).logits[0]
        finally:
            for handle in handles:
                handle.remove()
        return states, logits

    @torch.inference_mode()
    def written(self, use_cache: bool) -> tuple[list[int], Tensor]:
        """What `generate` writes after the prompt, and the logits of each new token."""
        ids = torch.tensor([self.ids])
        output = self.lm.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False,
            eos_token_id=None, pad_token_id=0, use_cache=use_cache, output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
        return output.sequences[0, ids.shape[1] :].tolist(), torch.stack(output.logits)[:, 0]

    def written_by_hand(self, answer: Sequence[int]) -> Tensor:
        """The logits of each token of an answer, each from a pass of its own over all before it."""
        return torch.stack([self.plain_pass([*self.ids, *answer[:count]])[1][-1] for count in range(len(answer))])


def stream(output: Any) -> Tensor:
    """The residual stream in what a block returned."""
    return output[0] if isinstance(output, tuple | list) else output


def close(found: Tensor, expected: Tensor) -> bool:
    """Whether two results agree within what float32 loses, by the size of the numbers."""
    return found.shape == expected.shape and bool((found - expected).norm() <= 1e-3 * expected.norm())
