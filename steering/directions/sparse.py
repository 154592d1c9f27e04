"""Sparse directions (Jailbreak Antidote, Shen et al., arXiv 2410.02298)."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from steering.activations.recording import PairActivations
from steering.directions.pca import pca
from steering.vectors.steering_vector import keep_largest


def sparse(batches: Iterable[PairActivations]) -> Float[Tensor, "layers d_model"]:
    """The largest 5 % of the coordinates of `pca`, as published. `SteeringVector.sparse` masks any other direction."""
    return keep_largest(pca(batches))
