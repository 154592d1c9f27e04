"""What methods share: types, and the sign and length of an axis that has none of its own."""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float
from torch import Tensor

from steering.activations.recording import PairActivations

Batches: TypeAlias = Iterable[PairActivations]
Directions: TypeAlias = Float[Tensor, "layers d_model"]


def principal_axis(scatter: Float[Tensor, "layers d_model d_model"]) -> Directions:
    """Unit eigenvector of the largest eigenvalue, a layer. Its sign is arbitrary."""
    last = scatter.shape[-1] - 1
    # LAPACK for one eigenvector, ten times faster than torch's for all of them.
    axes = [scipy.linalg.eigh(layer.numpy(), subset_by_index=(last, last))[1][:, 0] for layer in scatter]
    return torch.from_numpy(np.stack(axes))


def along(axes: Directions, mean_difference: Directions) -> Directions:
    """`r̂ r̂ᵀ(μ⁺ - μ⁻)`: the mean difference's share along each axis.

    This gives an axis its sign, towards the positive sides, and the same unit that a difference in means has: slider
    value 1 moves the readout along it from the negative sides' mean to the positive sides'.
    """
    unit = torch.nn.functional.normalize(axes.double(), dim=-1)
    share: Tensor = (unit * mean_difference.double()).sum(-1, keepdim=True) * unit
    return share
