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
    """`Σ direction·h + bias` over the probed tokens: log odds that the prompt is of the positive side."""

    direction: Float[Tensor, "tokens d_model"]
    bias: float
    held_out: NDArray[np.float64]
    """Log odds of the prompts that it was fitted on, each by a probe that had not seen its pair."""

    def scores(self, activations: Float[Tensor, "tokens prompts d_model"]) -> NDArray[np.float64]:
        """Log odds of other prompts."""
        found = torch.einsum("tpd,td->p", activations.double(), self.direction.double()) + self.bias
        return np.asarray(found.numpy())

    def gate_above(self, threshold: float, layer: int, tokens: tuple[int, ...]) -> Gate:
        """Open where the log odds are above the threshold."""
        return Gate(layer, self.direction, self.bias, tokens=tokens, reads="harm", threshold=threshold)

    def gate_below(self, threshold: float, layer: int, tokens: tuple[int, ...]) -> Gate:
        """Open where the log odds are below the threshold."""
        return Gate(layer, -self.direction, -self.bias, tokens=tokens, reads="harmlessness", threshold=-threshold)


def fit_prompt_probe(
    activations: Float[Tensor, "tokens prompts d_model"],
    positive: NDArray[np.bool_],
    pairs: Sequence[int],
    weights: NDArray[np.float64] | None = None,
) -> PromptProbe:
    """The mean of one ridge regression (scikit-learn) a token on standardized activations, both sides weighing alike.

    One regression on the tokens side by side does worse than the mean of two, and less regularization than this too.
    A logistic regression on the held-out scores turns them into log odds. `pairs` numbers the pair that each prompt
    belongs to: cross-validation keeps pairs together. `weights` says how much each prompt counts.
    """
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    weights = np.ones(len(positive)) if weights is None else weights
    targets = np.where(positive, 1.0, -1.0)
    shares = (
        np.where(positive, weights / weights[positive].sum(), weights / weights[~positive].sum()) * len(positive) / 2
    )
    held_out, fits = [], []
    for token in activations.double().numpy():
        ridge = Ridge(alpha=REGULARIZATION * token.shape[1])
        pipeline, weighted = make_pipeline(StandardScaler(), ridge), {"ridge__sample_weight": shares}
        held_out.append(
            cross_val_predict(pipeline, token, targets, groups=pairs, cv=GroupKFold(FOLDS), params=weighted)
        )
        fits.append(fit_standardized(ridge, token, targets, shares))
    scores = np.mean(held_out, axis=0)
    logistic = LogisticRegression(C=np.inf).fit(scores[:, None], positive, sample_weight=shares)
    slope, intercept = float(logistic.coef_[0, 0]), float(logistic.intercept_[0])
    directions, biases = zip(*fits, strict=True)
    direction = slope / len(fits) * torch.from_numpy(np.stack(directions)).float()
    return PromptProbe(direction, slope * float(np.mean(biases)) + intercept, slope * scores + intercept)
