"""Which token of a step is moved how far: from the requests of a batch to the contents of the buffers.

Knows nothing of vLLM: requests are names, token counts and settings.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import torch

from steering.models.token_positions import TokenChoice, token_choice
from steering.serving.vllm.axes import Column
from steering.serving.vllm.buffers import Buffers
from steering.vectors.slider import HARM, Slider, SliderValues

Array: TypeAlias = Any
"""A numpy array."""


class Batch(NamedTuple):
    """The requests of one step, in the order of their tokens."""

    names: Sequence[str]
    lengths: Array
    """(requests,) tokens in this step."""
    computed: Array
    """(requests,) tokens before this step."""
    prompts: Array
    """(requests,) length of the prompts."""
    settings: Sequence[SliderValues | None]


class StepWriter:
    """Fills the buffers before every step."""

    def __init__(self, buffers: Buffers, columns: Sequence[Column]) -> None:
        self._buffers = buffers
        self._columns: dict[str, list[tuple[int, Slider]]] = {}
        self._choices: dict[int, TokenChoice | None] = {}
        self._slots: OrderedDict[str, int] = OrderedDict()
        self._written = 0
        self._gates = [columns[number].push.gate for number, _ in buffers.readers]
        """Whose each reader is."""
        self._reads_harm = np.array([gate is not None and gate.reads_harm for gate in self._gates], dtype=bool)
        for number, column in enumerate(columns):
            self.add(number, column)

    def add(self, number: int, column: Column) -> None:
        """Let settings name the column's axis."""
        self._columns.setdefault(column.axis.name, []).append((number, column.axis.slider))
        self._choices[number] = token_choice(column.push.tokens)

    def write(self, batch: Batch) -> None:
        """Place the requests' settings at their tokens; everything else is 0."""
        values = np.zeros((len(batch.names), self._buffers.coefficients.shape[1]), np.float32)
        steered = False
        for row, setting in enumerate(batch.settings):
            for axis, value in (setting or {}).items():
                for number, slider in self._columns.get(axis, ()):
                    values[row, number] = slider.strength(torch.tensor([value]))
                    steered = True
        self._buffers.busy = steered
        if not steered:
            self._clear(0)
            return
        starts = np.cumsum(batch.lengths) - batch.lengths
        within = np.arange(int(batch.lengths.sum())) - np.repeat(starts, batch.lengths)
        index = within + np.repeat(batch.computed, batch.lengths)
        prompt = np.repeat(batch.prompts, batch.lengths)
        coefficients = np.repeat(values, batch.lengths, axis=0)
        for number, choice in self._choices.items():
            if choice is not None and values[:, number].any():
                coefficients[:, number] *= cast("Array", choice)(index, prompt, prompt - 1)
        tokens = len(coefficients)
        self._buffers.coefficients[:tokens].copy_(torch.from_numpy(coefficients))
        if self._buffers.readers:
            self._place_readers(batch, values, index, prompt)
        self._clear(tokens)

    def _place_readers(self, batch: Batch, values: Array, index: Array, prompt: Array) -> None:
        nobody = self._buffers.requests
        columns = [column for column, _ in self._buffers.readers]
        slots = np.full(len(batch.names), nobody)
        for row in np.flatnonzero(values[:, columns].any(1)):
            slots[row] = self._slot(batch.names[int(row)])
        of_token = np.repeat(slots, batch.lengths)
        last = [token for _, token in self._buffers.readers]
        targets = np.where(index[:, None] == prompt[:, None] - np.array(last), of_token[:, None], nobody)
        harm = np.array([(setting or {}).get(HARM, np.nan) for setting in batch.settings], np.float32)
        given = ~np.isnan(harm)
        if given.any():
            self._place_harm(harm[given], slots[given])
            targets[np.repeat(given, batch.lengths)[:, None] & self._reads_harm] = nobody
        self._buffers.slots[: len(of_token)].copy_(torch.from_numpy(of_token))
        self._buffers.targets[: len(targets)].copy_(torch.from_numpy(targets))

    def _place_harm(self, harm: Array, slots: Array) -> None:
        """Write what gates would have read of prompts whose harm is given, all of it at each gate's first token."""
        scores = self._buffers.scores
        rows, probabilities = torch.from_numpy(slots).to(scores.device), torch.from_numpy(harm)
        for reader, gate in enumerate(self._gates):
            if gate is not None and gate.reads_harm:
                owner = self._buffers.readers[reader][0]
                is_first = reader == 0 or self._buffers.readers[reader - 1][0] != owner
                whole = gate.score_of(probabilities) - gate.bias
                scores[rows, reader] = (whole if is_first else torch.zeros_like(whole)).to(scores.device)

    def _slot(self, name: str) -> int:
        """The request's slot; a new one takes that of the request that was longest without a step.

        There are twice as many slots as requests may run, and one that is preempted has its prompt read anew.
        """
        if name not in self._slots:
            full = len(self._slots) == self._buffers.requests
            self._slots[name] = self._slots.popitem(last=False)[1] if full else len(self._slots)
        self._slots.move_to_end(name)
        return self._slots[name]

    def _clear(self, tokens: int) -> None:
        """Zero the rows behind the step's tokens that an earlier step has filled."""
        if tokens < self._written:
            rows = slice(tokens, self._written)
            self._buffers.coefficients[rows].zero_()
            self._buffers.slots[rows].fill_(self._buffers.requests)
            self._buffers.targets[rows].fill_(self._buffers.requests)
        self._written = tokens
