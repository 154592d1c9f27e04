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

from steering.interventions.gates import Gate
from steering.models.language_model import LanguageModel

REGULARISATION = 3.0
"""Ridge penalty a coordinate of the standardised states."""
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
    held_out: NDArray[np.float64]
    """Scores of the chats that it was fitted on, each by a probe that had not seen its pair."""

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
    states: Float[Tensor, "tokens chats d_model"], positive: Sequence[bool], pairs: Sequence[int]
) -> PromptProbe:
    """The mean of one ridge regression (scikit-learn) a token on standardised states, both sides weighing the same.

    One regression on the tokens side by side does worse than the mean of two, and less regularisation than this too.

    Args:
        positive: which side each chat is of.
        pairs: number of the pair that each chat belongs to, so that cross-validation keeps pairs together.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = np.asarray(positive, dtype=bool)
    targets = np.where(labels, 1.0, -1.0)
    weights = np.where(labels, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    directions, bias, held_out = [], 0.0, np.zeros(len(labels))
    for token in states.double().numpy():
        model = make_pipeline(StandardScaler(), Ridge(alpha=REGULARISATION * token.shape[1]))
        held_out += cross_val_predict(
            model, token, targets, groups=pairs, cv=GroupKFold(FOLDS), params={"ridge__sample_weight": weights}
        ) / len(states)
        model.fit(token, targets, ridge__sample_weight=weights)
        scaler, ridge = model[0], model[1]
        direction = ridge.coef_ / scaler.scale_
        directions.append(torch.from_numpy(direction / len(states)).float())
        bias += float(ridge.intercept_ - direction @ scaler.mean_) / len(states)
    return PromptProbe(torch.stack(directions), bias, labels, held_out)
