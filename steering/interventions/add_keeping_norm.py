"""Norm-preserving addition."""

from jaxtyping import Float
from torch import Tensor

from steering.interventions.projection import Residual, wide


def add_keeping_norm(h: Residual, delta: Float[Tensor, "#batch #seq d_model"]) -> Residual:
    """`(h + c·v) ‖h‖ / ‖h + c·v‖`: the activation turns towards the direction and stays as long as it was."""
    activations = wide(h)
    moved = activations + delta.to(activations.dtype)
    scale: Tensor = activations.norm(dim=-1, keepdim=True) / moved.norm(dim=-1, keepdim=True).clamp_min(1e-30)
    return (moved * scale).to(h.dtype)
