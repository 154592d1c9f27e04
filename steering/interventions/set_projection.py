"""Affine concept editing (ACE, Marshall et al., arXiv 2411.09003)."""

from steering.interventions.projection import Direction, Factor, Residual, unit, wide


def set_projection(h: Residual, direction: Direction, target: Factor, strength: Factor = 1.0) -> Residual:
    """`h - λ r̂ r̂ᵀ h + λ t r̂`: at strength λ = 1 every activation's projection on the direction is the target t.

    ACE's `h - r̂ r̂ᵀ h + (h_ref·r̂) r̂ + c·v` is this with `t = h_ref·r̂ + c ‖v‖`.
    """
    activations, axis = wide(h), unit(direction, h)
    readout = (activations @ axis).unsqueeze(-1)
    return (activations + strength * (target - readout) * axis).to(h.dtype)
