"""Sparse directions (Jailbreak Antidote, Shen et al., arXiv 2410.02298)."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from steering.activations.recording import PairActivations
from steering.directions.pca import pca


def keep_largest(directions: Float[Tensor, "layers d_model"], share: float = 0.05) -> Float[Tensor, "layers d_model"]:
    """`d ⊙ m`, with `m` the mask of each layer's largest coordinates by absolute value; not normalized afterwards.

    Exactly `round(share · d_model)` coordinates stay, but at least one.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share should be above 0 and at most 1, found {share!r}")
    count = max(1, round(share * directions.shape[-1]))
    kept = directions.abs().topk(count, dim=-1).indices
    return torch.zeros_like(directions).scatter(-1, kept, directions.gather(-1, kept))


def sparse(batches: Iterable[PairActivations]) -> Float[Tensor, "layers d_model"]:
    """The largest 5 % of the coordinates of `pca`, as published. `SteeringVector.sparse` masks any other direction."""
    return keep_largest(pca(batches))
