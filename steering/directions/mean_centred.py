"""Mean-centring (Jorgensen et al., arXiv 2312.03813)."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from steering.activations.moments import class_means
from steering.activations.recording import PairStates


def mean_centred(batches: Iterable[PairStates]) -> Float[Tensor, "layers d_model"]:
    """`μ⁺ - μ_all`: the positive sides against everything read, so that no state need be the opposite of another.

    With as many negative as positive sides this is half of the difference in means.
    """
    positive, negative, positives, negatives = class_means(batches)
    return positive - (positives * positive + negatives * negative) / (positives + negatives)
