"""Logistic probe: the normal of the plane that separates the sides (scikit-learn)."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from steering.activations.recording import PairStates
from steering.directions.axis import along

REGULARISATION = 0.01
"""scikit-learn's C. The sides of a contrast set are often separable, and a weak penalty then follows the few states
next to the plane instead of all."""


def logistic(batches: Iterable[PairStates]) -> Float[Tensor, "layers d_model"]:
    """Weights of an L2-regularised logistic regression, with the mean difference's share along them.

    The states are centred and divided by one number, the median standard deviation of a coordinate: scaling every
    coordinate by its own would make the penalty, and so the direction, depend on the coordinates. The fit needs all
    states at once: memory grows with the number of pairs.
    """
    from sklearn.linear_model import LogisticRegression

    sides = list(batches)
    if not sides:
        raise ValueError("logistic needs at least one pair")
    positive, negative = (torch.cat(states).double() for states in zip(*sides, strict=True))
    labels = [1] * len(positive) + [0] * len(negative)
    axes = []
    for states in torch.cat([positive, negative]).unbind(1):
        deviation = states.std(0).median().clamp_min(torch.finfo(torch.float32).tiny)
        probe = LogisticRegression(C=REGULARISATION, max_iter=1000)
        probe.fit(((states - states.mean(0)) / deviation).numpy(), labels)
        axes.append(torch.from_numpy(probe.coef_[0]))
    return along(torch.stack(axes), positive.mean(0) - negative.mean(0))
