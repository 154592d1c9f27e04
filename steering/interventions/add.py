"""Activation addition (CAA, arXiv 2312.06681, and most of the field)."""

from jaxtyping import Float
from torch import Tensor

from steering.interventions.projection import Residual


def add(h: Residual, delta: Float[Tensor, "#batch #seq d_model"]) -> Residual:
    """`h + c·v`, where `delta = c·v` is already in the dtype of `h`: one rounding, the dtype's own."""
    return h + delta
