"""Linear artificial tomography (LAT; Zou et al., arXiv 2310.01405)."""

from steering.activations.moments import class_moments
from steering.directions.principal_axis import Batches, Directions, along, principal_axis


def lat(batches: Batches) -> Directions:
    """First principal component of the differences between stimuli paired at random, whatever their side.

    Labels give no more than the sign (and the length: the mean difference's share along the axis). Instead of one
    random draw the differences of all `n(n - 1)/2` pairs are taken, whose scatter is `n Σ (h - μ)(h - μ)ᵀ`; so this is
    the axis along which the stimuli vary most, and a topic that varies more than the axis' property wins.
    """
    positive, negative = class_moments(batches)
    return along(principal_axis((positive + negative).scatter), positive.mean - negative.mean)
