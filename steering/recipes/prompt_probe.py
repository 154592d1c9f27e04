"""A probe that reads what a prompt wants, from the tokens that a chat template puts after the user's text.

On those tokens a model has read the whole request and not yet begun to answer. The mean over the first and the last of
them depends less on how a request is punctuated than that over the first two (measured: docs/experiments.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steering.directions.standardized import fit_standardized
from steering.interventions.gates import Gate
from steering.models.language_model import LanguageModel

REGULARIZATION = 3.0
"""Ridge penalty a coordinate of the standardized activations."""
FOLDS = 5


def probed_tokens(lm: LanguageModel) -> tuple[int, ...]:
    """The first template token after the user's text and the last, from the prompt's end; else the last only."""
    return tuple(dict.fromkeys((max(1, lm.post_instruction_length), 1)))


@dataclass(frozen=True, eq=False)
class PromptProbe:
    """`Σ direction·h + bias` over the probed tokens: near 1 for the positive side, near -1 for the negative."""

    direction: Float[Tensor, "tokens d_model"]
    bias: float
    labels: NDArray[np.bool_]
    """Which of the chats that it was fitted on are positive."""
    held_out: NDArray[np.float64]
    """Scores of those chats, each by a probe that had not seen its pair."""

    def threshold(self, positive: bool, quantile: float) -> float:
        """The score below which this share of one side's held-out scores lie."""
        return float(np.quantile(self.held_out[self.labels == positive], quantile))

    def gate_above(self, threshold: float, layer: int, tokens: tuple[int, ...]) -> Gate:
        """Open where the score is above the threshold."""
        return Gate(layer, self.direction, bias=self.bias - threshold, tokens=tokens)

    def gate_below(self, threshold: float, layer: int, tokens: tuple[int, ...]) -> Gate:
        """Open where the score is below the threshold."""
        return Gate(layer, -self.direction, bias=threshold - self.bias, tokens=tokens)


def fit_prompt_probe(
    activations: Float[Tensor, "tokens chats d_model"], positive: Sequence[bool], pairs: Sequence[int]
) -> PromptProbe:
    """The mean of one ridge regression (scikit-learn) a token on standardized activations, both sides weighing alike.

    One regression on the tokens side by side does worse than the mean of two, and less regularization than this too.
    `pairs` numbers the pair that each chat belongs to: cross-validation keeps pairs together.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = np.asarray(positive, dtype=bool)
    targets = np.where(labels, 1.0, -1.0)
    weights = np.where(labels, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    held_out, fits = [], []
    for token in activations.double().numpy():
        ridge = Ridge(alpha=REGULARIZATION * token.shape[1])
        pipeline, shares = make_pipeline(StandardScaler(), ridge), {"ridge__sample_weight": weights}
        held_out.append(cross_val_predict(pipeline, token, targets, groups=pairs, cv=GroupKFold(FOLDS), params=shares))
        fits.append(fit_standardized(ridge, token, targets, weights))
    directions, biases = zip(*fits, strict=True)
    direction = torch.from_numpy(np.stack(directions) / len(fits)).float()
    return PromptProbe(direction, float(np.mean(biases)), labels, np.mean(held_out, axis=0))
