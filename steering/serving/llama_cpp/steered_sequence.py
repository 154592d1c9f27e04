"""One sequence in llama.cpp's cache: its tokens, its own slider values, and what gates have read of its prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from steering.errors import SteeringError
from steering.hooks.seen_tokens import AnswerStart
from steering.interventions.gates import Gate
from steering.models.token_positions import is_chosen, token_choice
from steering.serving.llama_cpp.pushes import Pushes


@dataclass(frozen=True)
class SequenceRecord:
    """What a saved state has to keep of a sequence, as plain data."""

    tokens: tuple[int, ...]
    prompt_length: int
    readings: tuple[float | None, ...]
    """What the gate of every push has read."""


class SteeredSequence:
    """A prompt, and what is written behind it.

    Args:
        pushes: what the sliders do.
        tokens: the prompt's ids.
        answer_start: where the answer of a model that thinks starts; None for one that doesn't.
        reads_all: whether gates read also where their slider is at 0, as it may be moved while the answer is written.

    Raises:
        SteeringError: for a prompt that lacks tokens which gates read.
    """

    def __init__(
        self, pushes: Pushes, tokens: Sequence[int], answer_start: AnswerStart | None = None, reads_all: bool = False
    ) -> None:
        self.pushes = pushes
        self.tokens = list(tokens)
        self.prompt_length = len(tokens)
        self._find_answer = answer_start if pushes.needs_answer_start else None
        self._answer_start = self.prompt_length - 1
        self._answer_known = self._find_answer is None
        self._reads_all = reads_all
        self._readings: dict[Gate, float] = {}
        self.gate_scores: dict[Gate, float] = {}
        """What gates have read, before their curves."""
        self._states: dict[tuple[int, int], Tensor] = {}
        self.set({}, None)

    def set(self, values: Mapping[str, float], harm: float | None) -> None:
        """Move the sliders, for the tokens that run from now on.

        Args:
            values: those of the sliders that aren't at 0.
            harm: as `Dial.set` takes it.
        """
        self._strengths = self.pushes.strengths(values)
        self._given = self.pushes.factors(harm)
        self._multiply()

    @property
    def is_idle(self) -> bool:
        """Whether nothing moves in it, whatever gates read."""
        return self._idle

    def go_on(self, length: int, tokens: Sequence[int]) -> None:
        """Take what is written behind the first so many tokens, in place of what may stand there."""
        self.tokens[length:] = tokens
        if self._find_answer is not None and self._answer_start >= length:
            self._answer_start, self._answer_known = self.prompt_length - 1, False

    def first_moved(self) -> int:
        """Index of the prompt's first token that may be moved; its length where none is."""
        index = torch.arange(self.prompt_length)
        place = torch.tensor(self.prompt_length), torch.tensor(self.prompt_length - 1)
        first = self.prompt_length
        for number in self.strengths.nonzero().flatten().tolist():
            choice = token_choice(self.pushes.named[number][1].tokens)
            chosen = index if choice is None else index[choice(index, *place)]
            first = min([first, *chosen[:1].tolist()])
        return first

    def record(self) -> SequenceRecord:
        """What a saved state keeps."""
        readings = (None if gate is None else self._readings.get(gate) for gate in self.pushes.gates)
        return SequenceRecord(tuple(self.tokens), self.prompt_length, tuple(readings))

    @staticmethod
    def of(record: SequenceRecord, pushes: Pushes, answer_start: AnswerStart | None) -> "SteeredSequence":
        """The sequence as it was saved.

        Args:
            record: of a sequence under the same sliders.
            pushes: what they do.
            answer_start: as for a new one.
        """
        sequence = SteeredSequence(pushes, record.tokens[: record.prompt_length], answer_start, reads_all=True)
        sequence.tokens = list(record.tokens)
        for gate, reading in zip(pushes.gates, record.readings, strict=True):
            if gate is not None and reading is not None:
                sequence._readings[gate] = reading
        sequence._multiply()
        return sequence

    def kind(self, place: int) -> object:
        """Equal for tokens of it that are moved alike."""
        if self.is_idle:
            return self._revision
        length, start = self.prompt_length, self.answer_start(place + 1)
        return self._revision, [is_chosen(choice, place, length, start) for choice, _ in self.pushes.choices]

    def _multiply(self) -> None:
        self._revision = object()
        factors = self._given.clone()
        for number, gate in enumerate(self.pushes.gates):
            if gate in self._readings and factors[number].isnan():
                factors[number] = self._readings[gate]
        # Not the product at 0: a slider at 0 doesn't wait for its gate.
        self.strengths: Float[Tensor, " pushes"] = torch.where(self._strengths == 0, 0.0, self._strengths * factors)
        """How strong each push is with its gate; NaN where that has yet to read."""
        self._idle = not self.strengths.any()
        waits = factors.isnan() if self._reads_all else self.strengths.isnan()
        self.unread: list[Gate] = [
            gate for gate, waiting in zip(self.pushes.gates, waits, strict=True) if gate is not None and waiting
        ]
        """Gates that have yet to read."""
        too_long = [gate for gate in self.unread if max(gate.tokens) > self.prompt_length]
        if too_long and self.strengths.isnan().any():
            raise SteeringError(
                f"Expected a prompt of at least {max(too_long[0].tokens)} tokens, which a slider's gate reads, found "
                f"{self.prompt_length}; give the prompt as the chat template writes it, or leave the slider at 0."
            )
        self.unread = [gate for gate in self.unread if gate not in too_long]

    @property
    def gate_tokens(self) -> int:
        """How many tokens from the prompt's end on gates have yet to read."""
        return max((token for gate in self.unread for token in gate.tokens), default=1)

    def answer_start(self, length: int) -> int:
        """The first token that decides about the answer, as far as so many tokens tell."""
        if not self._answer_known and length >= self.prompt_length:
            assert self._find_answer is not None
            self._answer_start = self._find_answer(self.tokens[:length], self.prompt_length)
            self._answer_known = self._answer_start < length
        return self._answer_start

    def read(self, layer: int, token: int, state: Float[Tensor, " d_model"]) -> None:
        """Take what stands behind a block at a token that gates read, and read those whose tokens are all there.

        Args:
            layer: the block.
            token: counted from the prompt's end, from 1.
            state: the block's output.
        """
        self._states[layer, token] = state
        for gate in self.unread:
            if gate.layer == layer and all((layer, one) in self._states for one in gate.tokens):
                states = torch.stack([self._states[layer, one] for one in gate.tokens])
                score = gate.score(states.unsqueeze(0))
                self.gate_scores[gate], self._readings[gate] = float(score), float(gate.opened(score))
        self._multiply()
        if not self.unread:
            self._states.clear()

    def awaited_layer(self, start: int) -> int | None:
        """The lowest layer of gates that have to read before the prompt's parts can run one after the other.

        A push waits for them that moves tokens before those that gates read.

        Args:
            start: index of the first token that is to run.
        """
        early = torch.arange(start, self.prompt_length - self.gate_tokens)
        place = torch.tensor(self.prompt_length), torch.tensor(self.prompt_length - 1)
        layers: list[int] = []
        for number in self.strengths.isnan().nonzero().flatten().tolist():
            choice, gate = token_choice(self.pushes.named[number][1].tokens), self.pushes.gates[number]
            assert gate is not None
            if len(early) and (choice is None or choice(early, *place).any()):
                layers.append(gate.layer)
        return min(layers, default=None)
