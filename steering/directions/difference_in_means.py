"""Difference in means (CAA, arXiv 2312.06681; Arditi et al., arXiv 2406.11717)."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from steering.recording import PairStates


def difference_in_means(batches: Iterable[PairStates]) -> Float[Tensor, "layers d_model"]:
    """`mean(positive) - mean(negative)`, a layer at a time, in float64 and in one pass over the batches.

    The raw norm is kept: it is the natural unit of the direction.
    """
    total: Tensor | None = None
    count = 0
    for positive, negative in batches:
        difference = positive.sum(0, dtype=torch.float64) - negative.sum(0, dtype=torch.float64)
        total = difference if total is None else total + difference
        count += len(positive)
    if total is None:
        raise ValueError("difference_in_means needs at least one pair")
    return total / count
