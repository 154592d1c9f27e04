"""From what a push was measured to do at several strengths to a slider whose value v does v times what value 1 does."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import isotonic_regression

from steering.data.chats import Chat
from steering.data.contrast import ContrastPair
from steering.hooks.dial import attach
from steering.hooks.sweep import sweep
from steering.models.language_model import LanguageModel
from steering.recipes.push_trials import ANSWER_TOKENS
from steering.scoring.answer_likelihood import preference_margin
from steering.scoring.next_token import refusal_score
from steering.scoring.refusal_phrases import refuses
from steering.vectors.provenance import Dose
from steering.vectors.slider import Slider

STRENGTHS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
"""Shares of full strength at which the effect is measured."""
VALUES = (0.25, 0.5, 0.75, 1.0)
LEAST_TURNED = 0.1
"""Share of prompts that full strength must turn for shares to say anything; below, the score is taken."""
LOWEST = (-0.5, -1.0, -2.0, -3.0)
"""Strengths below 0 at which the margin of engaged answers is measured."""


def refusing_dose(lm: LanguageModel, slider: Slider, harmful: Sequence[Chat]) -> Dose:
    """The dose of a slider that turns answers to these prompts into refusals."""
    settings = [{"slider": strength} for strength in (0.0, *STRENGTHS)]
    direct = lm.without_thought()
    answers = sweep(direct, {"slider": slider}, harmful, settings, max_new_tokens=ANSWER_TOKENS, progress=False)
    refused = np.array([[refuses(text) for text in texts] for texts in answers]).mean(0)
    if refused[-1] - refused[0] >= LEAST_TURNED:
        return _dose("share of harmful prompts refused", len(harmful), refused - refused[0])
    return _dose("log odds of refusing harmful prompts, nats", len(harmful), _mean_scores(lm, slider, harmful))


def answering_dose(lm: LanguageModel, slider: Slider, refused: Sequence[Chat], engaged: Sequence[ContrastPair]) -> Dose:
    """The dose of a slider that gets these refused prompts answered, and below 0 makes answers less engaged.

    Value -1 takes as much from the margin of engaged over evasive answers as value 1 adds to it.
    """
    scores = _all_scores(lm, slider, refused)
    answered = (scores < 0).float().mean(1).numpy()
    if answered[-1] - answered[0] >= LEAST_TURNED:
        dose = _dose("share of refused look-alikes answered", len(refused), answered - answered[0])
    else:
        mean = -scores.mean(1).numpy()
        dose = _dose("log odds of answering look-alikes, nats", len(refused), mean - mean[0])
    margins = []
    with attach({"slider": slider}, lm) as dial:
        for strength in (0.0, 1.0, *LOWEST):
            dial.set(slider=strength)
            margins.append(preference_margin(lm, engaged, dial).mean().item())
    bare, raised, *lowered = margins
    falls = np.maximum.accumulate([0.0, *(bare - margin for margin in lowered)])
    lowest = _strength_for(max(raised - bare, 0.0), falls, [0.0, *(-strength for strength in LOWEST)])
    return Dose(
        outcome=dose.outcome,
        prompts=dose.prompts,
        values=(-1.0, *dose.values),
        strengths=(-max(lowest, -LOWEST[0]), *dose.strengths),
        effects=(0.0, *dose.effects),
    )


def _dose(outcome: str, prompts: int, effects: np.ndarray) -> Dose:
    """The curve on which value v has v times the effect of full strength, by isotonic regression."""
    strengths = [0.0, *STRENGTHS]
    rising = isotonic_regression(effects).x
    rising = np.clip(rising - rising[0], 0.0, None)
    inner: list[float] = list(VALUES[:-1])
    if rising[-1] > 0:
        inner = [_strength_for(value * rising[-1], rising, strengths) for value in VALUES[:-1]]
    known = (0.0, *inner, 1.0)
    found = tuple(float(effect) for effect in np.interp(known, strengths, effects - effects[0]))
    return Dose(outcome=outcome, prompts=prompts, values=(0.0, *VALUES), strengths=known, effects=found)


def _strength_for(effect: float, rising: np.ndarray, strengths: Sequence[float]) -> float:
    """The least of the measured strengths, or of those between, with such an effect; else the largest."""
    tilted = rising + 1e-9 * np.arange(len(rising))  # on a plateau the first strength is taken
    return float(np.interp(effect, tilted, strengths))


def _mean_scores(lm: LanguageModel, slider: Slider, prompts: Sequence[Chat]) -> np.ndarray:
    mean = _all_scores(lm, slider, prompts).mean(1).numpy()
    return np.asarray(mean - mean[0])


def _all_scores(lm: LanguageModel, slider: Slider, prompts: Sequence[Chat]) -> torch.Tensor:
    """Refusal scores (strengths, prompts), without the slider first."""
    with attach({"slider": slider}, lm) as dial:
        rows = []
        for strength in (0.0, *STRENGTHS):
            dial.set(slider=strength)
            rows.append(refusal_score(lm, prompts))
    return torch.stack(rows)
