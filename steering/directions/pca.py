"""Principal component of pair differences (RepE, Zou et al., arXiv 2310.01405)."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from steering.activations.moments import Moments
from steering.activations.recording import PairStates
from steering.directions.axis import along, principal_axis


def pca(batches: Iterable[PairStates]) -> Float[Tensor, "layers d_model"]:
    """First right singular vector of the pair differences `d = h⁺ - h⁻`, with the mean difference's share along it.

    RepE takes every difference in random order before it centres them, so that their mean is about 0 and centring
    takes nothing away. Here the mean over all orders is taken, `Σ d dᵀ`: no draw, and nothing depends on the order of
    the pairs. (Centring differences that all point the same way would remove the very direction that is looked for.)

    Raises ValueError for sides that aren't paired.
    """
    differences = Moments()
    for positive, negative in batches:
        if len(positive) != len(negative):
            raise ValueError(f"pca needs pairs, found {len(positive)} positive and {len(negative)} negative states")
        differences.update(positive.double() - negative.double())
    if not differences.count:
        raise ValueError("pca needs at least one pair")
    mean = differences.mean
    uncentred = differences.scatter + differences.count * mean.unsqueeze(-1) * mean.unsqueeze(-2)
    return along(principal_axis(uncentred), mean)
