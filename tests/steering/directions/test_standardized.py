"""A linear model on standardized activations gives the same output by its own weights."""

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from steering.directions.standardized import fit_standardized

RANDOM = np.random.default_rng(0)
ACTIVATIONS = RANDOM.normal(size=(60, 5)) * [1.0, 10.0, 0.1, 1.0, 3.0] + [0.0, 50.0, 1.0, -3.0, 0.0]
SCORES = ACTIVATIONS @ RANDOM.normal(size=5)
SIDES = np.median(SCORES) < SCORES


def test_a_classifiers_output_is_that_of_a_pipeline() -> None:
    weights, bias = fit_standardized(LogisticRegression(C=0.01), ACTIVATIONS, SIDES)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(ACTIVATIONS, SIDES)
    np.testing.assert_allclose(ACTIVATIONS @ weights + bias, pipeline.decision_function(ACTIVATIONS), rtol=1e-9)


def test_and_a_weighted_regressions_too() -> None:
    share = RANDOM.uniform(0.5, 2.0, size=60)
    weights, bias = fit_standardized(Ridge(alpha=3.0), ACTIVATIONS, SIDES * 2.0 - 1.0, share)
    pipeline = make_pipeline(StandardScaler(), Ridge(alpha=3.0))
    pipeline.fit(ACTIVATIONS, SIDES * 2.0 - 1.0, ridge__sample_weight=share)
    np.testing.assert_allclose(ACTIVATIONS @ weights + bias, pipeline.predict(ACTIVATIONS), rtol=1e-9, atol=1e-12)
