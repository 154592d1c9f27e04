"""Extraction methods: from the states of contrast pairs to one direction a layer."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from steering.directions.difference_in_means import difference_in_means
from steering.recording import PairStates

Direction: TypeAlias = Callable[[Iterable[PairStates]], Float[Tensor, "layers d_model"]]
"""A method consumes batches of pair states once, in bounded memory, and returns one direction a layer."""

DIRECTIONS: dict[str, Direction] = {
    "difference_in_means": difference_in_means,
}
