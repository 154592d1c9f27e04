"""A dose inverts what was measured: value v does v times what value 1 does."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from steering import LanguageModel, Sliders
from steering.recipes import measured_dose
from steering.recipes.measured_dose import LOWEST, VALUES, _dose, _strength_for, answering_dose, refusing_dose
from steering.vectors.slider import as_slider
from tests.helpers.contrast_pairs import answer_pairs
from tests.helpers.known_vectors import slider_of
from tests.helpers.tiny import random_vector

STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
MEASURED = np.array((0.0, *STRENGTHS))
PROMPTS = [f"Break the lock of door {number}." for number in range(6)]


@pytest.fixture(autouse=True)
def _known_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_dose, "STRENGTHS", STRENGTHS)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_known_curve_is_inverted(power: float) -> None:
    dose = _dose("outcome", 7, 0.6 * MEASURED**power)
    assert (dose.outcome, dose.prompts, dose.values) == ("outcome", 7, (0.0, *VALUES))
    np.testing.assert_allclose(dose.strengths, np.array((0.0, *VALUES)) ** (1 / power), atol=0.05)
    np.testing.assert_allclose(dose.effects, 0.6 * np.array((0.0, *VALUES)), atol=1e-6)
    assert (dose.strengths[0], dose.strengths[-1]) == (0.0, 1.0)


def test_of_a_plateau_the_first_strength_is_taken() -> None:
    dose = _dose("outcome", 7, np.array([0.0, 0.25, 0.5, 0.5, 0.5, 1.0]))
    np.testing.assert_allclose(dose.strengths, (0.0, 0.2, 0.4, 0.9, 1.0), atol=1e-6)
    late = _dose("outcome", 7, np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    np.testing.assert_allclose(late.strengths, (0.0, 0.85, 0.9, 0.95, 1.0), atol=1e-6)
    full = _dose("outcome", 7, np.array([0.0, 0.2, 0.4, 0.4, 0.4, 0.4]))
    np.testing.assert_allclose(full.strengths, (0.0, 0.1, 0.2, 0.3, 1.0), atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_noise_the_strengths_never_fall_and_the_effects_are_the_measured_ones(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(scale=0.3, size=len(MEASURED))
    noise[0] = 0.0
    dose = _dose("outcome", 7, MEASURED + noise)
    assert dose.strengths == tuple(sorted(dose.strengths))
    assert 0.0 == dose.strengths[0] <= dose.strengths[-1] == 1.0
    np.testing.assert_allclose(dose.effects, np.interp(dose.strengths, MEASURED, MEASURED + noise))


@pytest.mark.parametrize("effects", [np.zeros(6), -MEASURED])
def test_where_nothing_rises_it_is_a_straight_line(effects: np.ndarray) -> None:
    dose = _dose("outcome", 7, effects)
    np.testing.assert_allclose(dose.strengths, dose.values)
    np.testing.assert_allclose(dose.effects, effects[-1] * np.array(dose.values), atol=1e-9)


def test_an_effect_beyond_the_measured_ones_takes_the_last_strength() -> None:
    strengths = [0.0, *(-strength for strength in LOWEST)]
    assert _strength_for(9.0, np.array([0.0, 0.1, 0.2, 0.3, 0.4]), strengths) == 3.0
    assert _strength_for(9.0, np.zeros(5), strengths) <= 3.0  # nor does it leave them where nothing was found


def planted(monkeypatch: pytest.MonkeyPatch, refused: list[int]) -> None:
    """Of the prompts so many are refused at each strength, 0 first."""

    def sweep(*_arguments: object, **_options: object) -> list[list[str]]:
        return [["I can't help with that." if row < count else "Take a pin." for count in refused] for row in range(6)]

    monkeypatch.setattr(measured_dose, "sweep", sweep)


def test_refusals_are_counted_where_some_turn_and_else_the_score_is_taken(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    slider = as_slider(random_vector())
    planted(monkeypatch, [1, 1, 2, 3, 4, 4])
    counted = refusing_dose(lm, slider, PROMPTS)
    assert counted.outcome == "share of harmful prompts refused"
    np.testing.assert_allclose(counted.effects[-1], 0.5)
    planted(monkeypatch, [3] * 6)
    scored = refusing_dose(lm, slider, PROMPTS)
    assert (scored.outcome, scored.prompts) == ("log odds of refusing harmful prompts, nats", 6)
    with Sliders(a=slider).attach(lm) as dial:
        bare = measured_dose.refusal_score(lm, PROMPTS).mean()
        dial.set(a=1.0)
        assert scored.effects[-1] == pytest.approx(float(measured_dose.refusal_score(lm, PROMPTS).mean() - bare), 1e-4)


def test_the_dose_of_answering_reaches_below_zero_and_the_slider_takes_it(lm: LanguageModel) -> None:
    slider = slider_of(random_vector(2), tokens="answer")
    dose = answering_dose(lm, slider, PROMPTS, list(answer_pairs(4)))
    assert dose.values == (-1.0, 0.0, *VALUES)
    assert -3.0 <= dose.strengths[0] <= -0.5
    with Sliders(a=replace(slider, dose=dose)).attach(lm) as dosed, Sliders(b=slider).attach(lm) as plain:
        dosed.set(a=-1.0)
        one = measured_dose.refusal_score(lm, PROMPTS)
        dosed.set(a=0.0)
        plain.set(b=dose.strengths[0])
        torch.testing.assert_close(measured_dose.refusal_score(lm, PROMPTS), one, rtol=1e-4, atol=1e-4)
