"""Affine concept editing (ACE, Marshall et al., arXiv 2411.09003)."""

from jaxtyping import Float
from torch import Tensor

from steering.interventions.projection import unit, wide


def set_projection(
    h: Float[Tensor, "batch seq d_model"],
    direction: Float[Tensor, " d_model"],
    target: float | Float[Tensor, "#batch 1 1"],
    strength: float | Float[Tensor, "#batch 1 1"] = 1.0,
) -> Float[Tensor, "batch seq d_model"]:
    """`h - λ r̂ r̂ᵀ h + λ t r̂`: at strength λ = 1 every activation's projection on the direction is the target t.

    ACE's `h - r̂ r̂ᵀ h + (h_ref·r̂) r̂ + c·v` is this with `t = h_ref·r̂ + c ‖v‖`.
    """
    activations, axis = wide(h), unit(direction, h)
    readout = (activations @ axis).unsqueeze(-1)
    return (activations + strength * (target - readout) * axis).to(h.dtype)
