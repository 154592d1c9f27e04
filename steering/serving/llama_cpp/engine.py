"""Requests in one context of llama.cpp, each with its own sliders: one batch a step, a row for every token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from steering.errors import SteeringError
from steering.models.llama_cpp.context import BlockStates, Context, GgufModel, Room, Token
from steering.models.response_tokens import ResponseTokens
from steering.serving.llama_cpp.prompt_parts import PromptParts
from steering.serving.llama_cpp.pushes import Pushes
from steering.serving.llama_cpp.row_moves import LastMoves, Part
from steering.serving.llama_cpp.row_reads import Reader, RowReads
from steering.serving.llama_cpp.steered_sequence import SteeredSequence
from steering.vectors.slider import Slider, check_axes

PROMPT_TOKENS = 256
"""Tokens of prompts that a step reads at most beside rows that write, which wait for them."""


@dataclass(eq=False)
class Request:
    """A prompt and how it is steered; the engine writes behind it what its caller chooses.

    Example:
        >>> request = Request([1, 2, 3], {"safety": 1.0})
    """

    tokens: Sequence[int]
    """The prompt's ids."""
    values: Mapping[str, float]
    """The sliders' values; those that aren't named are at 0."""
    harm: float | None = None
    """The probability that the prompt is harmful, in place of what gates read of it."""
    reader: Reader | None = None
    """Who is told what stands behind blocks at its tokens, and what all of its gates read."""
    error: Exception | None = field(default=None, init=False)
    """Why the engine had to give it up, whoever else goes on."""
    written: list[int] = field(default_factory=list, init=False)
    """Tokens that were chosen."""

    def write(self, token: int) -> None:
        """Take the next token, which runs in the next step."""
        self.written.append(token)


class _Slot:
    """One request, its sequence's number in the cache and how far it has come."""

    def __init__(self, request: Request, number: int, sequence: SteeredSequence) -> None:
        self.request, self.number, self.sequence = request, number, sequence
        self.parts = PromptParts(sequence)

    def next(self, room: int) -> Part | None:
        written = len(self.sequence.tokens) - self.sequence.prompt_length
        self.sequence.tokens += self.request.written[written:]
        return self.parts.next(room)


class Engine:
    """One context for many requests. One thread at a time may use it.

    Args:
        model: the weights.
        sliders: by name, checked against the model.
        room: what the context is to hold; requests at a time are its sequences.
        response_tokens: what tells the thought of a model that thinks from its answer.

    Raises:
        SteeringError: for sliders that can't move this model's blocks, and for too little room.
    """

    def __init__(
        self,
        model: GgufModel,
        sliders: Mapping[str, Slider],
        room: Room,
        response_tokens: ResponseTokens | None = None,
    ) -> None:
        self._pushes = Pushes(sliders, model.n_layers, model.d_model, tells_thoughts=response_tokens is not None)
        self._answer_start = response_tokens.answer_start if response_tokens else None
        deepest = self._pushes.deepest
        if room.batch < room.sequences + deepest:
            raise SteeringError(
                f"Expected room for {room.sequences + deepest} tokens a pass at least, for {room.sequences} sequences "
                f"and the {deepest} tokens that gates read, found {room.batch}; ask for a larger batch."
            )
        self._context = Context(model, self._pushes.room_for(room))
        self._room = room
        self._moves = LastMoves(self._pushes)
        self._slots: dict[Request, _Slot] = {}
        self._free = list(reversed(range(room.sequences)))

    def add(self, request: Request) -> None:
        """Give a request a slot; its prompt is read from the next step on.

        Raises:
            SteeringError: for an empty prompt or one too short for a gate, an unknown slider, a harm that no gate
                reads, and where no slot is free.
        """
        check_axes(request.values, self._pushes.sliders)
        if not request.tokens:
            raise SteeringError("Expected a prompt of one token at least, found an empty one.")
        if not self._free:
            raise SteeringError(f"Expected a free slot, found all {self._room.sequences} taken; remove a request.")
        reader = request.reader
        sequence = SteeredSequence(self._pushes, request.tokens, self._answer_start, reads_all=reader is not None)
        if reader is not None:
            sequence.gate_scores = reader.gate_scores
        sequence.set(request.values, request.harm)
        self._slots[request] = _Slot(request, self._free.pop(), sequence)

    def remove(self, request: Request) -> None:
        """Free a request's slot; one that has none is left as it is."""
        slot = self._slots.pop(request, None)
        if slot is not None:
            self._context.remove(slot.number)
            self._free.append(slot.number)

    def step(self) -> dict[Request, Float[Tensor, " vocabulary"]]:
        """Run one batch: a token of every request that writes, and parts of the prompts that are read.

        Where the batch fails, each request runs alone; one that fails then is removed, and its `error` says why.

        Returns:
            The logits of those whose next token is to be chosen.
        """
        ready = self._ready()
        try:
            return self._run(ready) if ready else {}
        except Exception as error:
            if len(ready) == 1:
                self._give_up(ready[0][0], error)
                return {}
        found: dict[Request, Tensor] = {}
        for slot, part in ready:  # after the handler, whose traceback keeps the failed batch's tensors
            try:
                found |= self._run([(slot, part)])
            except Exception as error:
                self._give_up(slot, error)
        return found

    def _give_up(self, slot: _Slot, error: Exception) -> None:
        slot.request.error = error.with_traceback(None)
        self.remove(slot.request)

    def _ready(self) -> list[tuple[_Slot, Part]]:
        """What runs next: rows that write first, then prompts in the order in which they came."""
        slots = sorted(self._slots.values(), key=lambda slot: slot.parts.reads_prompt)
        left = self._room.batch
        ready: list[tuple[_Slot, Part]] = []
        for slot in slots:
            if slot.parts.reads_prompt and ready:
                left = min(left, PROMPT_TOKENS)
            part = slot.next(left)
            if part is not None:
                ready.append((slot, part))
                left -= part.count
        return ready

    def _run(self, ready: Sequence[tuple[_Slot, Part]]) -> dict[Request, Tensor]:
        tokens: list[Token] = []
        wanted: dict[int, Request] = {}
        for slot, part in ready:
            places = range(part.start, part.start + part.count)
            tokens += [Token(slot.sequence.tokens[place], place, slot.number) for place in places]
            if places.stop == len(slot.sequence.tokens) and part.awaited is None:
                wanted[len(tokens) - 1] = slot.request
        moves = self._moves.of([part for _, part in ready], list(wanted))
        reads = RowReads([(slot.request.reader, part) for slot, part in ready])

        def visit(layer: int, states: BlockStates) -> None:
            if layer in moves.layers:
                moves.visit(layer, states)
            reads.visit(layer, states)

        logits = self._context.decode(tokens, moves.outputs, moves.layers | reads.layers, visit)
        for slot, part in ready:
            if slot.parts.ran(part):
                self._context.remove(slot.number)
        rows = zip(moves.outputs, logits, strict=True)
        return {wanted[row]: torch.from_numpy(found) for row, found in rows if row in wanted}
