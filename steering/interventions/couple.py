"""Coupling one readout to another (LLM-VA, Zhang et al., arXiv 2601.19487)."""

from steering.interventions.projection import Direction, Factor, Residual, unit, wide


def couple(h: Residual, direction: Direction, reader: Direction, center: Direction, strength: Factor = 1.0) -> Residual:
    """`h + s (w·(h - c) - v̂·(h - c)) v̂`: at s = 1 the readout along the direction is what the reader `w` says.

    Both are read from the center `c`, where they agree. LLM-VA's `h + (κ v_b·h - v_a·h) v_a` is this with `v̂ = v_a`,
    `w = κ v_b` and s = 1; its weight edit does so to all that a block writes, with c = 0.
    """
    activations, axis = wide(h), unit(direction, h)
    reader, center = (vector.to(activations.device, activations.dtype) for vector in (reader, center))
    gap = ((activations - center) @ (reader - axis)).unsqueeze(-1)
    return (activations + strength * gap * axis).to(h.dtype)
