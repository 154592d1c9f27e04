"""Directional ablation (Arditi et al., arXiv 2406.11717)."""

from steering.interventions.projection import Direction, Factor, Residual, unit, wide


def ablate(h: Residual, direction: Direction, strength: Factor = 1.0) -> Residual:
    """`h - λ r̂ r̂ᵀ h` with `r̂` the unit direction and `λ` the strength: at 1 no projection on the direction is left.

    Worked out in float32 at least and returned in the dtype of `h`.
    """
    activations, axis = wide(h), unit(direction, h)
    return (activations - strength * (activations @ axis).unsqueeze(-1) * axis).to(h.dtype)
