"""What axes and gates read of one answer while it is written, and the rules that end it by that.

An axis is read as `steering.read_tokens` reads it: along its direction, in the residual stream's units, as the sliders
have moved it. A token is read when it has passed the model, which is one step after it was written.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from steering.errors import SteeringError
from steering.explore.gate_readings import GateReadings, gates_of, readings_of
from steering.explore.token_readings import Readout, TokenReading
from steering.interventions.gates import Gate
from steering.sliders import Sliders
from trimtab.serve.stop_rule import StopRule


@dataclass(frozen=True)
class Fulfilled:
    """The token of an answer at which a rule first held."""

    axis: str
    rule: StopRule
    token: str
    index: int
    """Its place in the answer, from 0."""
    reading: float

    @property
    def object(self) -> dict[str, Any]:
        """As clients get it."""
        return {"axis": self.axis, "rule": str(self.rule), "token": self.token, "index": self.index} | {
            "reading": self.reading
        }


@dataclass(frozen=True)
class Seen:
    """Tokens that have been read, the prompt's with what gates read of it."""

    tokens: Sequence[TokenReading]
    gates: GateReadings | None = None
    fulfilled: Fulfilled | None = None
    """The first of these that a rule holds at, one of the answer's."""

    @property
    def object(self) -> dict[str, Any]:
        """As clients get it, whole or a part of a stream."""
        found: dict[str, Any] = {}
        if self.gates is not None:
            found["gates"] = {"harm": self.gates.harm, "factors": self.gates.factors}
        for name, in_prompt in (("prompt", True), ("answer", False)):
            tokens = [token for token in self.tokens if token.in_prompt == in_prompt]
            if tokens:
                found[name] = [{"token": token.token, "axes": token.readings} for token in tokens]
        return found


def together(parts: Sequence[Seen]) -> Seen:
    """All of an answer that was seen in parts."""
    return Seen([token for part in parts for token in part.tokens], parts[0].gates)


class Watch:
    """Follows one answer. The worker tells it what passes the model, the answer asks it what to make of that.

    Args:
        sliders: the server's.
        readouts: where each axis is read that is wanted.
        rules: by axis, what ends the answer.
        shows: whether the client is to be told what is read, by gates too.
        tokenizer: for the tokens' texts.
        harm: the client's own probability that the prompt is harmful, in place of what gates read.
    """

    def __init__(
        self,
        sliders: Sliders,
        readouts: Mapping[str, Readout],
        rules: Mapping[str, StopRule],
        shows: bool,
        tokenizer: PreTrainedTokenizerBase,
        harm: float | None = None,
    ) -> None:
        self._sliders, self._readouts, self._rules = sliders, readouts, rules
        self._tokenizer = tokenizer
        self.gates = gates_of(sliders) if shows else []
        """Gates whose scores are wanted."""
        self.gate_scores: dict[Gate, float] = {}
        """Those that are known."""
        if harm is not None:
            given = torch.tensor([harm])
            self.gate_scores = {gate: float(gate.score_of(given)) for gate in self.gates if gate.reads_harm}
        self.shows = shows
        """Whether the client is to be told."""
        self._found: dict[str, list[float]] = {axis: [] for axis in readouts}
        self._looked = 0

    @cached_property
    def layers(self) -> frozenset[int]:
        """Blocks behind which axes are read."""
        return frozenset(readout.layer for readout in self._readouts.values())

    def take(self, layer: int, first: int, activations: Float[Tensor, "tokens d_model"]) -> None:
        """Read tokens that stand one after the other; those that have been read stay as they are.

        Args:
            layer: the block behind which they stand.
            first: the first one's index, as the prompt's first counts 0.
            activations: what the block put out there.
        """
        for axis, readout in self._readouts.items():
            if readout.layer == layer:
                known = self._found[axis]
                known += readout.read(activations[len(known) - first :])

    def look(self, tokens: Sequence[int], prompt_length: int) -> Seen:
        """What has been read since the last look.

        Args:
            tokens: the prompt's and the answer's so far.
            prompt_length: how many are the prompt's.

        Raises:
            SteeringError: for a reading that is no finite number.
        """
        start, stop = self._looked, min(map(len, self._found.values()))
        self._looked = stop
        numbers = [value for values in self._found.values() for value in values[start:stop]]
        if not all(map(math.isfinite, [*numbers, *self.gate_scores.values()])):
            raise SteeringError(
                "Expected finite readings, found activations beyond that; ask for slider values nearer to 0."
            )
        read = [self._reading(tokens, place, prompt_length) for place in range(start, stop)]
        answered = range(max(start, prompt_length), stop)
        fulfilled = (
            Fulfilled(axis, rule, read[place - start].token, place - prompt_length, self._found[axis][place])
            for place in answered
            for axis, rule in self._rules.items()
            if rule.holds(self._found[axis][place])
        )
        return Seen(read, None if start else self._gates_read(), next(fulfilled, None))

    def _reading(self, tokens: Sequence[int], place: int, prompt_length: int) -> TokenReading:
        readings = {axis: values[place] for axis, values in self._found.items()}
        return TokenReading(str(self._tokenizer.decode([tokens[place]])), place < prompt_length, readings)

    def _gates_read(self) -> GateReadings | None:
        if not self.shows:
            return None
        scores = {gate: torch.tensor([self.gate_scores[gate]]) for gate in self.gates}
        return readings_of(self._sliders, scores, 1)[0]
