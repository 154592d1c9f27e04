"""Scaling what is already there along a direction."""

from steering.interventions.projection import Direction, Factor, Residual, unit, wide


def scale_component(h: Residual, direction: Direction, factor: Factor) -> Residual:
    """`h + (k - 1) r̂ r̂ᵀ h`: the component along the direction becomes `k` times itself, the rest stays.

    Unlike addition it moves an activation the more, the more of the direction it holds.
    """
    activations, axis = wide(h), unit(direction, h)
    return (activations + (factor - 1) * (activations @ axis).unsqueeze(-1) * axis).to(h.dtype)
