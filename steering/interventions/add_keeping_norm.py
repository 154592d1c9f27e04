"""Norm-preserving addition."""

from jaxtyping import Float
from torch import Tensor

from steering.interventions.projection import wide


def add_keeping_norm(
    h: Float[Tensor, "batch seq d_model"], delta: Float[Tensor, "#batch #seq d_model"]
) -> Float[Tensor, "batch seq d_model"]:
    """`(h + c·v) ‖h‖ / ‖h + c·v‖`: the activation turns towards the direction and stays as long as it was."""
    activations = wide(h)
    moved = activations + delta.to(activations.dtype)
    scale: Tensor = activations.norm(dim=-1, keepdim=True) / moved.norm(dim=-1, keepdim=True).clamp_min(1e-30)
    return (moved * scale).to(h.dtype)
