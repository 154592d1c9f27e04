"""What the operations share: unit directions and readouts in a dtype that is wide enough."""

import torch
from jaxtyping import Float
from torch import Tensor


def wide(h: Tensor) -> Tensor:
    """`h` in float32 at least."""
    return h.to(torch.promote_types(h.dtype, torch.float32))


def unit(direction: Float[Tensor, " d_model"], h: Tensor) -> Float[Tensor, " d_model"]:
    """The direction at norm 1, on the device of `h` and in the dtype of `wide(h)`."""
    placed = direction.to(h.device, torch.promote_types(h.dtype, torch.float32))
    return torch.nn.functional.normalize(placed, dim=-1)
