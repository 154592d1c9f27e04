"""Counts, means and second moments of activations, gathered batch by batch in float64: what directions are made from.

Batches are merged by the centered update of Chan, Golub and LeVeque (1983), which loses no digits under a large mean.
"""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import scipy.linalg
import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from steering.activations.recording import Activations, PairActivations

Vectors: TypeAlias = Float[Tensor, "layers d_model"]
Matrices: TypeAlias = Float[Tensor, "layers d_model d_model"]


class Moments:
    """Count, mean and scatter of a stream of activations, a layer. Memory: layers x d_model², whatever their number."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Vectors = torch.empty(0)
        self.scatter: Matrices = torch.empty(0)
        """`Σ (h - mean)(h - mean)ᵀ`."""

    def update(self, activations: Activations) -> None:
        """Add a batch of activations."""
        if len(activations):
            mean = activations.mean(0, dtype=torch.float64)
            centered = activations.double() - mean
            scatter = einsum(centered, centered, "chats layer i, chats layer j -> layer i j")
            self._merge(len(activations), mean, scatter)

    @property
    def covariance(self) -> Matrices:
        """Maximum-likelihood covariance: the scatter over the count."""
        return self.scatter / self.count

    @property
    def gram(self) -> Matrices:
        """`Σ h hᵀ`, not centered."""
        return self.scatter + self.count * _outer(self.mean)

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
        self.scatter = self.scatter + scatter + (self.count * count / total) * _outer(gap)
        self.mean = self.mean + gap * (count / total)
        self.count = total


def _outer(vectors: Vectors) -> Matrices:
    return einsum(vectors, vectors, "layer i, layer j -> layer i j")


def class_means(batches: Iterable[PairActivations]) -> tuple[Vectors, Vectors, int, int]:
    """Mean activation of the positive and of the negative sides, and how many of each there were.

    Raises ValueError when a side has no activation.
    """
    totals: list[Tensor | float] = [0.0, 0.0]
    counts = [0, 0]
    for sides in batches:
        for side, activations in enumerate(sides):
            totals[side] += activations.sum(0, dtype=torch.float64)  # in place: new tensors would scatter the heap
            counts[side] += len(activations)
    _check_both_sides(*counts)
    positive, negative = (torch.as_tensor(total) / count for total, count in zip(totals, counts, strict=True))
    return positive, negative, counts[0], counts[1]


def class_moments(batches: Iterable[PairActivations]) -> tuple[Moments, Moments]:
    """Moments of the positive and of the negative sides. Raises ValueError when one has no activation."""
    sides = Moments(), Moments()
    for batch in batches:
        for moments, activations in zip(sides, batch, strict=True):
            moments.update(activations)
    _check_both_sides(*(moments.count for moments in sides))
    return sides


def _check_both_sides(positives: int, negatives: int) -> None:
    if not (positives and negatives):
        raise ValueError(f"a direction needs both sides, found {positives} positive, {negatives} negative ones")


def solve_positive(matrices: Matrices, vectors: Vectors) -> Vectors:
    """`M⁻¹ v`, a layer, for positive definite M (LAPACK's Cholesky). Raises a ValueError where M is singular."""
    pairs = zip(matrices, vectors, strict=True)
    solved = [scipy.linalg.solve(matrix.numpy(), vector.numpy(), assume_a="pos") for matrix, vector in pairs]
    return torch.from_numpy(np.stack(solved))
