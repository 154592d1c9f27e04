"""Difference in means (CAA, arXiv 2312.06681; Arditi et al., arXiv 2406.11717)."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from steering.activations.moments import class_means
from steering.activations.recording import PairStates


def difference_in_means(batches: Iterable[PairStates]) -> Float[Tensor, "layers d_model"]:
    """`μ⁺ - μ⁻`, a layer at a time, in float64 and in one pass over the batches.

    The raw norm is kept: it is the natural unit of the direction.
    """
    positive, negative, _, _ = class_means(batches)
    return positive - negative
