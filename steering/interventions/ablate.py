"""Directional ablation (Arditi et al., arXiv 2406.11717)."""

from jaxtyping import Float
from torch import Tensor

from steering.interventions.projection import unit, wide


def ablate(
    h: Float[Tensor, "batch seq d_model"],
    direction: Float[Tensor, " d_model"],
    strength: float | Float[Tensor, "#batch 1 1"] = 1.0,
) -> Float[Tensor, "batch seq d_model"]:
    """`h - λ r̂ r̂ᵀ h` with `r̂` the unit direction and `λ` the strength: at 1 no projection on the direction is left.

    Worked out in float32 at least and returned in the dtype of `h`.
    """
    activations, axis = wide(h), unit(direction, h)
    return (activations - strength * (activations @ axis).unsqueeze(-1) * axis).to(h.dtype)
