"""Sparse directions (Jailbreak Antidote, Shen et al., arXiv 2410.02298)."""

from steering.directions.pca import pca
from steering.directions.principal_axis import Batches, Directions
from steering.vectors.steering_vector import keep_largest


def sparse(batches: Batches) -> Directions:
    """The largest 5 % of the coordinates of `pca`, as published. `SteeringVector.sparse` masks any other direction."""
    return keep_largest(pca(batches))
