"""Linear models of scikit-learn on standardized activations, their weights in the activations' own units."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray


def fit_standardized(
    model: Any,
    activations: Float[np.ndarray, "rows d_model"],
    targets: Sequence[float] | NDArray[Any],
    sample_weight: NDArray[Any] | None = None,
) -> tuple[Float[np.ndarray, " d_model"], float]:
    """Fit a linear regression or a classifier of two classes on activations of mean 0 and deviation 1 a coordinate.

    Returns `w` and `b` so that `w·h + b` is the model's output for the activation `h` as it is.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(activations)
    model.fit(scaler.transform(activations), targets, sample_weight=sample_weight)
    weights = np.ravel(model.coef_) / scaler.scale_
    return weights, float(np.ravel(model.intercept_)[0] - weights @ scaler.mean_)
