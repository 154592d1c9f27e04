"""Difference in means (CAA, arXiv 2312.06681; Arditi et al., arXiv 2406.11717), and mean-centering beside it."""

from steering.activations.moments import class_means
from steering.directions.principal_axis import Batches, Directions


def difference_in_means(batches: Batches) -> Directions:
    """`μ⁺ - μ⁻`, a layer at a time, in float64 and in one pass over the batches.

    The raw norm is kept: it is the natural unit of the direction.
    """
    positive, negative, _, _ = class_means(batches)
    return positive - negative


def mean_centered(batches: Batches) -> Directions:
    """`μ⁺ - μ_all` (mean-centering, Jorgensen et al., arXiv 2312.03813): no activation need be the opposite of another.

    With as many negative as positive sides this is half of the difference in means.
    """
    positive, negative, positives, negatives = class_means(batches)
    return positive - (positives * positive + negatives * negative) / (positives + negatives)
