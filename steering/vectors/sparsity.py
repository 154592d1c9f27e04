"""Sparse directions (Jailbreak Antidote, Shen et al., arXiv 2410.02298)."""

import torch
from jaxtyping import Float
from torch import Tensor


def keep_largest(directions: Float[Tensor, "layers d_model"], share: float = 0.05) -> Float[Tensor, "layers d_model"]:
    """`d ⊙ m`, with `m` the mask of each layer's largest coordinates by absolute value; not normalized afterwards.

    Exactly `round(share · d_model)` coordinates stay, but at least one.
    """
    count = max(1, round(share * directions.shape[-1]))
    kept = directions.abs().topk(count, dim=-1).indices
    return torch.zeros_like(directions).scatter(-1, kept, directions.gather(-1, kept))
