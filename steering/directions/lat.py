"""Linear artificial tomography (LAT; Zou et al., arXiv 2310.01405)."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from steering.activations.moments import class_moments
from steering.activations.recording import PairActivations
from steering.directions.axis import along, principal_axis


def lat(batches: Iterable[PairActivations]) -> Float[Tensor, "layers d_model"]:
    """First principal component of the differences between stimuli paired at random, whatever their side.

    Labels give no more than the sign (and the length: the mean difference's share along the axis). Instead of one
    random draw the differences of all `n(n - 1)/2` pairs are taken, whose scatter is `n Σ (h - μ)(h - μ)ᵀ`; so this is
    the axis along which the stimuli vary most, and a topic that varies more than the axis' property wins.
    """
    positive, negative = class_moments(batches)
    return along(principal_axis((positive + negative).scatter), positive.mean - negative.mean)
