"""Addition by a linear map of the activation itself (AlphaSteer, Sheng et al., arXiv 2506.07022)."""

from steering.interventions.projection import Direction, Factor, Residual, wide


def add_mapped(h: Residual, direction: Direction, reader: Direction, coefficient: Factor) -> Residual:
    """`h + c (w·h) v`: the push is as large as the reader `w` finds the activation to ask for.

    AlphaSteer's `h + c Δ P̂ h` is this, with `Δ P̂ = v wᵀ` of rank one: see `steering.recipes.null_space`.
    """
    activations = wide(h)
    direction, reader = (vector.to(activations.device, activations.dtype) for vector in (direction, reader))
    return (activations + coefficient * (activations @ reader).unsqueeze(-1) * direction).to(h.dtype)
