"""What the operations share: types, unit directions, and a dtype that is wide enough."""

from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

Residual: TypeAlias = Float[Tensor, "batch seq d_model"]
Direction: TypeAlias = Float[Tensor, " d_model"]
Factor: TypeAlias = float | Float[Tensor, "#batch 1 1"]
"""One number, or one for each row of the batch."""


def wide(h: Tensor) -> Tensor:
    """`h` in float32 at least."""
    return h.to(torch.promote_types(h.dtype, torch.float32))


def unit(direction: Direction, h: Tensor) -> Direction:
    """The direction at norm 1, on the device of `h` and in the dtype of `wide(h)`."""
    placed = direction.to(h.device, torch.promote_types(h.dtype, torch.float32))
    return torch.nn.functional.normalize(placed, dim=-1)
