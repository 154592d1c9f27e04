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

    Unlike addition it moves a state the more, the more of the direction it holds.
    """
    states, axis = wide(h), unit(direction, h)
    return (states + (factor - 1) * (states @ axis).unsqueeze(-1) * axis).to(h.dtype)
