"""What the sliders do to the rows of one batch, each the token of a sequence with its own settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from steering.errors import SteeringError
from steering.models.llama_cpp.context import BlockStates
from steering.serving.llama_cpp.pushes import Acts, Change, Pushes, Strengths
from steering.serving.llama_cpp.steered_sequence import SteeredSequence


@dataclass(frozen=True)
class Part:
    """Tokens of one sequence that stand one after the other in a batch."""

    sequence: SteeredSequence
    start: int
    """Index of the first in its sequence."""
    count: int
    awaited: int | None = None
    """The layer whose gates they run for alone, where pushes with gates don't move yet."""


class RowMoves:
    """One pass over the parts of a batch.

    Args:
        pushes: what the sliders do.
        parts: all of the batch, in its order.
        outputs: rows whose logits are wanted, ascending.
    """

    def __init__(self, pushes: Pushes, parts: Sequence[Part], outputs: Sequence[int]) -> None:
        self._pushes, self._parts = pushes, parts
        self._last = pushes.n_layers - 1
        self._reads = self._gate_rows()
        self._acts: Acts = torch.zeros(0, len(pushes.named), dtype=torch.bool)
        self._strengths: Strengths = torch.empty(0, len(pushes.named))
        self.outputs = sorted({*outputs, *(row for row, _, _ in self._reads.get(self._last, []))})
        """Those rows, and rows that gates read behind the last block, which has no others."""
        self._by_layer: dict[int, _BlockMoves | None] = {}
        self.layers: frozenset[int] = frozenset()
        """Blocks to visit."""
        if self._reads or any(not part.sequence.is_idle for part in parts):
            self._owner = torch.arange(len(parts)).repeat_interleave(torch.tensor([part.count for part in parts]))
            self._chosen = self._choose()
            self._take_strengths()
            moved = self._acts.any(0)
            layers = {layer for layer, here in pushes.at_layer.items() if moved[here].any()} | self._reads.keys()
            self.layers = frozenset(layers if self.outputs else layers - {self._last})

    def visit(self, layer: int, states: BlockStates) -> None:
        """Read gates behind a block, then move the rows there.

        Raises:
            SteeringError: where a gate has not read, which a row's move waits for.
        """
        for row, sequence, token in self._reads.get(layer, []):
            place = states.rows.index(row)
            sequence.read(layer, token, states.read(place, place + 1)[0])
        if layer in self._reads:
            self._take_strengths()
        if layer not in self._by_layer:
            self._by_layer[layer] = self._moves_at(layer, list(states.rows))
        moves = self._by_layer[layer]
        if moves is not None:
            moves(states)

    def moved_rows(self) -> list[int]:
        """Rows of the batch that are moved at any block, as far as gates have read."""
        return self._acts.any(1).nonzero().flatten().tolist()

    def _moves_at(self, layer: int, rows: list[int]) -> "_BlockMoves | None":
        """What moves of the rows that a block has; None where nothing does."""
        here = self._pushes.at_layer.get(layer, [])
        acts = self._acts[rows]
        acting = acts[:, here].any(1)
        if not acting.any():
            return None
        acts, strengths = acts[acting], self._strengths[self._owner[rows]][acting]
        if strengths[:, here][acts[:, here]].isnan().any():
            raise SteeringError("Expected all gates to have read the prompt before its tokens move, found one unread.")
        changes = [move.on(strengths, acts) for move in self._pushes.moves[layer] if acts[:, move.pushes].any()]
        return _BlockMoves(_runs(acting.nonzero().flatten().tolist()), changes)

    def _gate_rows(self) -> dict[int, list[tuple[int, SteeredSequence, int]]]:
        """By layer: rows that gates read, with their sequence, and the token as counted from its prompt's end."""
        found: dict[int, list[tuple[int, SteeredSequence, int]]] = {}
        begins = accumulate((part.count for part in self._parts), initial=0)
        for part, begin in zip(self._parts, begins, strict=False):
            sequence = part.sequence
            wanted = {(gate.layer, token) for gate in sequence.unread for token in gate.tokens}
            for layer, token in sorted(wanted):
                place = sequence.prompt_length - token - part.start
                if 0 <= place < part.count and part.awaited in (None, layer):
                    found.setdefault(layer, []).append((begin + place, sequence, token))
        return found

    def _choose(self) -> Acts:
        """Whether each push is meant for each row."""
        chosen = torch.ones(len(self._owner), len(self._pushes.named), dtype=torch.bool)
        if self._pushes.choices:
            index = torch.cat([torch.arange(part.start, part.start + part.count) for part in self._parts])
            lengths = torch.tensor([part.sequence.prompt_length for part in self._parts])[self._owner]
            answers = [part.sequence.answer_start(part.start + part.count) for part in self._parts]
            starts = torch.tensor(answers)[self._owner]
            for choice, numbers in self._pushes.choices:
                chosen[:, numbers] = choice(index, lengths, starts).unsqueeze(1)
        return chosen

    def _take_strengths(self) -> None:
        """Once more where gates have read: those that hadn't counted as open, for their blocks to be visited."""
        rows: list[Tensor] = []
        for part in self._parts:
            strengths = part.sequence.strengths
            rows.append(strengths if part.awaited is None else strengths.nan_to_num(0.0))
        self._strengths = torch.stack(rows)
        self._acts = self._chosen & (self._strengths[self._owner] != 0)
        self._by_layer.clear()


class _BlockMoves:
    """What moves behind one block: stretches of its rows, and what happens to all of these."""

    def __init__(self, stretches: Sequence[tuple[int, int]], changes: Sequence[Change]) -> None:
        self._stretches, self._changes = stretches, changes

    def __call__(self, states: BlockStates) -> None:
        found = [states.read(start, stop) for start, stop in self._stretches]
        h = found[0] if len(found) == 1 else torch.cat(found)
        for change in self._changes:
            h = change(h)
        moved = [h] if len(found) == 1 else h.split([len(one) for one in found])
        for (start, _), one in zip(self._stretches, moved, strict=True):
            states.write(start, one)


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending places as the stretches that they stand in: the first, and one past the last."""
    breaks = [n for n in range(1, len(places)) if places[n] != places[n - 1] + 1]
    return [
        (places[start], places[stop - 1] + 1) for start, stop in zip([0, *breaks], [*breaks, len(places)], strict=True)
    ]


class LastMoves:
    """The moves of the last pass, for the next if its rows are moved alike: they mostly are while answers are written.

    Args:
        pushes: what the sliders do.
    """

    def __init__(self, pushes: Pushes) -> None:
        self._pushes = pushes
        self._kind: object = None
        self._moves = RowMoves(pushes, [], [])

    def of(self, parts: Sequence[Part], outputs: Sequence[int]) -> RowMoves:
        """What moves in a pass; arguments as `RowMoves` takes them."""
        kind = [(part.count, part.sequence.kind(part.start), list(outputs)) for part in parts]
        written = all(part.count == 1 and part.start >= part.sequence.prompt_length for part in parts)
        if not written or kind != self._kind:
            self._moves = RowMoves(self._pushes, parts, outputs)
        self._kind = kind if written else None
        return self._moves
