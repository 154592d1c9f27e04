"""A random direction: the control that every comparison needs."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from steering.moments import class_means
from steering.recording import PairStates


def random(batches: Iterable[PairStates], seed: int = 0) -> Float[Tensor, "layers d_model"]:
    """Uniform over the sphere, a layer, with the norm of the difference in means; the same for the same seed."""
    positive, negative, _, _ = class_means(batches)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(positive.shape, generator=generator, dtype=torch.float64)
    unit: Tensor = torch.nn.functional.normalize(drawn, dim=-1)
    scaled: Tensor = unit * (positive - negative).norm(dim=-1, keepdim=True)
    return scaled
