"""Directional ablation (Arditi et al., arXiv 2406.11717)."""

import torch
from jaxtyping import Float
from torch import Tensor


def ablate(
    h: Float[Tensor, "batch seq d_model"], direction: Float[Tensor, " d_model"], strength: float = 1.0
) -> Float[Tensor, "batch seq d_model"]:
    """`h - λ r̂ r̂ᵀ h` with `r̂` the unit direction and `λ` the strength: at 1 no projection on the direction is left.

    Worked out in float32 at least and returned in the dtype of `h`.
    """
    wide = torch.promote_types(h.dtype, torch.float32)
    unit = torch.nn.functional.normalize(direction.to(h.device, wide), dim=-1)
    states = h.to(wide)
    return (states - strength * (states @ unit).unsqueeze(-1) * unit).to(h.dtype)
