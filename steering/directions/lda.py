"""Linear discriminant analysis with shrinkage."""

import torch
from jaxtyping import Float
from torch import Tensor

from steering.activations.moments import class_moments, solve_positive
from steering.directions.principal_axis import Batches, Directions, along


def lda(batches: Batches) -> Directions:
    """`Σ⁻¹(μ⁺ - μ⁻)` with the within-class covariance `Σ`, each class' shrunk to a multiple of the identity.

    The shrinkage is the oracle-approximating one (OAS; Chen et al., IEEE TSP 58, 2010), which needs second moments only
    and so streams. Equal to scikit-learn's `LinearDiscriminantAnalysis("lsqr", covariance_estimator=OAS())`. Sign and
    length: the mean difference's share along it.
    """
    positive, negative = class_moments(batches)
    total = positive.count + negative.count
    shrunk = [(side.count / total) * _shrunk(side.covariance, side.count) for side in (positive, negative)]
    difference = positive.mean - negative.mean
    return along(solve_positive(shrunk[0] + shrunk[1], difference), difference)


def _shrunk(covariance: Float[Tensor, "layers d d"], count: int) -> Float[Tensor, "layers d d"]:
    """`(1 - ρ) S + ρ (tr S / d) 1` with the OAS `ρ`, a layer."""
    width = covariance.shape[-1]
    mean_variance = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)
    mean_square = covariance.pow(2).mean((-2, -1))
    above = mean_square + mean_variance**2
    below = (count + 1) * (mean_square - mean_variance**2 / width)
    share = torch.where(below == 0, 1.0, above / below).clamp(max=1.0).reshape(-1, 1, 1)
    identity = torch.eye(width, dtype=covariance.dtype)
    return (1 - share) * covariance + share * mean_variance.reshape(-1, 1, 1) * identity
