"""Scaling what is already there along a direction."""

from jaxtyping import Float
from torch import Tensor

from steering.interventions.projection import unit, wide


def scale_component(
    h: Float[Tensor, "batch seq d_model"],
    direction: Float[Tensor, " d_model"],
    factor: float | Float[Tensor, "#batch 1 1"],
) -> Float[Tensor, "batch seq d_model"]:
    """`h + (k - 1) r̂ r̂ᵀ h`: the component along the direction becomes `k` times itself, the rest stays.

    Unlike addition it moves an activation the more, the more of the direction it holds.
    """
    activations, axis = wide(h), unit(direction, h)
    return (activations + (factor - 1) * (activations @ axis).unsqueeze(-1) * axis).to(h.dtype)
