"""Addition by a linear map of the state itself (AlphaSteer, Sheng et al., arXiv 2506.07022)."""

from jaxtyping import Float
from torch import Tensor

from steering.interventions.projection import wide


def add_mapped(
    h: Float[Tensor, "batch seq d_model"],
    direction: Float[Tensor, " d_model"],
    reader: Float[Tensor, " d_model"],
    coefficient: float | Float[Tensor, "#batch 1 1"],
) -> Float[Tensor, "batch seq d_model"]:
    """`h + c (w·h) v`: the push is as large as the reader `w` finds the state to ask for.

    AlphaSteer's `h + c Δ P̂ h` is this, with `Δ P̂ = v wᵀ` of rank one: see `steering.recipes.null_space`.
    """
    states = wide(h)
    direction, reader = (vector.to(states.device, states.dtype) for vector in (direction, reader))
    return (states + coefficient * (states @ reader).unsqueeze(-1) * direction).to(h.dtype)
