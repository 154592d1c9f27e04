"""Logistic probe: the normal of the plane that separates the sides (scikit-learn)."""

import torch

from steering.directions.principal_axis import Batches, Directions, along

REGULARIZATION = 0.01
"""scikit-learn's C. The sides of a contrast set are often separable, and a weak penalty then follows the few
activations next to the plane instead of all."""


def logistic(batches: Batches) -> Directions:
    """Weights of an L2-regularized logistic regression, with the mean difference's share along them.

    The activations are centered and divided by one number, the median standard deviation of a coordinate: scaling every
    coordinate by its own would make the penalty, and so the direction, depend on the coordinates. The fit needs all
    activations at once: memory grows with the number of pairs.
    """
    from sklearn.linear_model import LogisticRegression

    sides = list(batches)
    if not sides:
        raise ValueError("logistic needs at least one pair")
    positive, negative = (torch.cat(side).double() for side in zip(*sides, strict=True))
    labels = [1] * len(positive) + [0] * len(negative)
    axes = []
    for layer in torch.cat([positive, negative]).unbind(1):
        deviation = layer.std(0).median().clamp_min(torch.finfo(torch.float32).tiny)
        probe = LogisticRegression(C=REGULARIZATION, max_iter=1000)
        probe.fit(((layer - layer.mean(0)) / deviation).numpy(), labels)
        axes.append(torch.from_numpy(probe.coef_[0]))
    return along(torch.stack(axes), positive.mean(0) - negative.mean(0))
