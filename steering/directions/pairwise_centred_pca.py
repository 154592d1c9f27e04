"""Pairwise-centred PCA (CAST, Lee et al., arXiv 2409.05907)."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from steering.activations.recording import PairStates
from steering.directions.pca import pca


def pairwise_centred_pca(batches: Iterable[PairStates]) -> Float[Tensor, "layers d_model"]:
    """First principal component of both sides, every pair centred on its own midpoint.

    The centred sides are `±d/2` with `d = h⁺ - h⁻`, their mean is 0 and their scatter `½ Σ d dᵀ`: the same axis as
    `pca`, under the name of the paper that the field knows it by.
    """
    return pca(batches)
