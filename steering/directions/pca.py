"""Principal component of pair differences (RepE, Zou et al., arXiv 2310.01405)."""

from steering.activations.moments import Moments
from steering.directions.principal_axis import Batches, Directions, along, principal_axis


def pca(batches: Batches) -> Directions:
    """First right singular vector of the pair differences `d = h⁺ - h⁻`, with the mean difference's share along it.

    RepE takes every difference in random order before it centers them, so that their mean is about 0 and centering
    takes nothing away. Here the mean over all orders is taken, `Σ d dᵀ`: no draw, and nothing depends on the order of
    the pairs. (Centering differences that all point the same way would remove the very direction that is looked for.)

    It is also CAST's pairwise-centered PCA (Lee et al., arXiv 2409.05907): sides that are centered on the midpoint of
    their pair are `±d/2`, with mean 0 and scatter `½ Σ d dᵀ`.

    Raises:
        ValueError: for sides that aren't paired.
    """
    differences = Moments()
    for positive, negative in batches:
        if len(positive) != len(negative):
            raise ValueError(f"pca needs pairs, found {len(positive)} positive and {len(negative)} negative sides")
        differences.update(positive.double() - negative.double())
    if not differences.count:
        raise ValueError("pca needs at least one pair")
    return along(principal_axis(differences.gram), differences.mean)
