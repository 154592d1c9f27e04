"""What stands behind blocks at the tokens of a batch, for whoever reads it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from steering.interventions.gates import Gate
from steering.models.llama_cpp.context import BlockStates
from steering.serving.llama_cpp.row_moves import Part


class Reader(Protocol):
    """Follows one sequence."""

    gate_scores: dict[Gate, float]
    """Where the scores go that gates read."""

    @property
    def layers(self) -> Collection[int]:
        """Blocks behind which it reads; not the last one, which has no rows but those whose logits are wanted."""
        ...

    def take(self, layer: int, first: int, activations: Float[Tensor, "tokens d_model"]) -> None:
        """Be told of tokens that stand one after the other; of some it may be told again.

        Args:
            layer: the block.
            first: the first one's index in the sequence.
            activations: what the block put out, as the sliders moved it.
        """
        ...


class RowReads:
    """One pass over the parts of a batch, each with its reader or none.

    Args:
        parts: all of the batch, in its order. Those that run for gates alone are not moved as they will be: not read.
    """

    def __init__(self, parts: Sequence[tuple[Reader | None, Part]]) -> None:
        self._reads: list[tuple[Reader, int, Part]] = []
        begin = 0
        for reader, part in parts:
            if reader is not None and part.awaited is None:
                self._reads.append((reader, begin, part))
            begin += part.count
        self.layers = frozenset(layer for reader, _, _ in self._reads for layer in reader.layers)
        """Blocks to visit."""

    def visit(self, layer: int, states: BlockStates) -> None:
        """Tell the readers of a block what it put out."""
        for reader, begin, part in self._reads:
            if layer in reader.layers:
                reader.take(layer, part.start, states.read(begin, begin + part.count))
