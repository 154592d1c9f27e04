"""Angular steering (Vu and Nguyen, arXiv 2510.26243)."""

import torch
from jaxtyping import Float
from torch import Tensor

from steering.interventions.projection import Direction, Residual, unit, wide


def rotate(
    h: Residual,
    first: Direction,
    second: Direction,
    angle: float | Float[Tensor, "#batch #seq 1"],
    adaptive: bool = False,
) -> Residual:
    """`h - P h + ‖P h‖ (cos θ b₁ + sin θ b₂)`: the part in the plane points at angle θ from the first direction.

    `b₁` is the first direction at norm 1, `b₂` what is left of the second when made orthogonal to it, and `P` the
    projection onto their plane; θ is in radians. The norm of every activation stays.
    With `adaptive` it turns only where `h·b₁ > 0`, and leaves the rest untouched.
    """
    activations = wide(h)
    b1, b2 = plane(first, second, h)
    x, y = (activations @ b1).unsqueeze(-1), (activations @ b2).unsqueeze(-1)
    angle = torch.as_tensor(angle, dtype=activations.dtype, device=activations.device)
    length = torch.hypot(x, y)
    turned = activations + (length * angle.cos() - x) * b1 + (length * angle.sin() - y) * b2
    return (torch.where(x > 0, turned, activations) if adaptive else turned).to(h.dtype)


def angle_in_plane(h: Residual, first: Direction, second: Direction) -> Float[Tensor, "batch seq 1"]:
    """Angle of each activation's part in the plane, in radians from the first direction, -π to π."""
    activations = wide(h)
    b1, b2 = plane(first, second, h)
    return torch.atan2(activations @ b2, activations @ b1).unsqueeze(-1)


def plane(first: Tensor, second: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal basis of the plane of two directions, the first one kept."""
    b1, other = unit(first, h), unit(second, h)
    return b1, torch.nn.functional.normalize(other - (other @ b1) * b1, dim=-1)
