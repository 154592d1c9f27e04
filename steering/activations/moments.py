"""Counts, means and second moments of states, gathered batch by batch in float64: what directions are made from.

Batches are merged by the centred update of Chan, Golub and LeVeque (1983), which loses no digits under a large mean.
"""

from collections.abc import Iterable

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float
from torch import Tensor

from steering.activations.recording import PairStates, States


class Moments:
    """Count, mean and scatter of a stream of states, a layer. Memory: layers x d_model², however many states."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Float[Tensor, "layers d_model"] = torch.empty(0)
        self.scatter: Float[Tensor, "layers d_model d_model"] = torch.empty(0)
        """`Σ (h - mean)(h - mean)ᵀ`."""

    def update(self, states: States) -> None:
        """Add a batch of states."""
        if not len(states):
            return
        mean = states.mean(0, dtype=torch.float64)
        centred = (layer.double() - center for layer, center in zip(states.unbind(1), mean, strict=True))
        self._merge(len(states), mean, torch.stack([layer.T @ layer for layer in centred]))

    @property
    def covariance(self) -> Float[Tensor, "layers d_model d_model"]:
        """Maximum-likelihood covariance: the scatter over the count."""
        return self.scatter / self.count

    def __add__(self, other: "Moments") -> "Moments":
        """Moments of both streams together."""
        both = Moments()
        for part in (self, other):
            if part.count:
                both._merge(part.count, part.mean, part.scatter)
        return both

    def _merge(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        if not self.count:
            self.count, self.mean, self.scatter = count, mean, scatter
            return
        total = self.count + count
        gap = mean - self.mean
        self.scatter = self.scatter + scatter + gap.unsqueeze(-1) * gap.unsqueeze(-2) * (self.count * count / total)
        self.mean = self.mean + gap * (count / total)
        self.count = total


def class_means(
    batches: Iterable[PairStates],
) -> tuple[Float[Tensor, "layers d_model"], Float[Tensor, "layers d_model"], int, int]:
    """Mean state of the positive and of the negative sides, and how many of each there were.

    The sides need not be equally many. Raises ValueError when one has no state.
    """
    totals: list[Tensor | float] = [0.0, 0.0]
    counts = [0, 0]
    for sides in batches:
        for side, states in enumerate(sides):
            totals[side] += states.sum(0, dtype=torch.float64)  # in place: a new tensor a batch would scatter the heap
            counts[side] += len(states)
    if not all(counts):
        raise ValueError(f"a direction needs states of both sides, found {counts[0]} positive and {counts[1]} negative")
    positive, negative = (torch.as_tensor(total) / count for total, count in zip(totals, counts, strict=True))
    return positive, negative, counts[0], counts[1]


def solve_positive(
    matrices: Float[Tensor, "layers d_model d_model"], vectors: Float[Tensor, "layers d_model"]
) -> Float[Tensor, "layers d_model"]:
    """`M⁻¹ v`, a layer, for positive definite M (LAPACK's Cholesky). Raises a ValueError where M is singular."""
    pairs = zip(matrices, vectors, strict=True)
    solved = [scipy.linalg.solve(matrix.numpy(), vector.numpy(), assume_a="pos") for matrix, vector in pairs]
    return torch.from_numpy(np.stack(solved))


def class_moments(batches: Iterable[PairStates]) -> tuple[Moments, Moments]:
    """Moments of the positive and of the negative sides. Raises ValueError when one has no state."""
    positive, negative = Moments(), Moments()
    for positive_states, negative_states in batches:
        positive.update(positive_states)
        negative.update(negative_states)
    if not (positive.count and negative.count):
        raise ValueError(
            f"a direction needs states of both sides, found {positive.count} positive and {negative.count} negative"
        )
    return positive, negative
