"""A random direction: the control that every comparison needs."""

import zlib

import torch
from torch import Tensor

from steering.activations.moments import class_means
from steering.directions.principal_axis import Batches, Directions


def random(batches: Batches) -> Directions:
    """Uniform over the sphere, a layer, with the norm of the difference in means.

    The seed is made from those norms, to four digits: the same for the same pairs, another for another axis.
    """
    positive, negative, _, _ = class_means(batches)
    norms = (positive - negative).norm(dim=-1, keepdim=True)
    seed = zlib.crc32(" ".join(f"{norm:.3e}" for norm in norms.flatten().tolist()).encode())
    drawn = torch.randn(positive.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scaled: Tensor = torch.nn.functional.normalize(drawn, dim=-1) * norms
    return scaled
