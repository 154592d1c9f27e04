"""The matrix recovers what was put in, and its intervals hold what they promise."""

import numpy as np
import pytest

from probes.intervals import change_with_interval
from probes.slider_effects import CrossEffects, anti_steerable_fraction, cross_effects, monotonicity
from steering import SteeringError

GRID = [{"safety": s, "helpfulness": h} for s in (-1.0, 0.0, 1.0) for h in (-1.0, 0.0, 1.0)]
OWN = {"safety": "refusal", "helpfulness": "margin"}


def synthetic(seed: int, leaks: tuple[float, float], prompts: int = 48) -> dict[str, np.ndarray]:
    """Scores with mean slopes ((0.8, l₀·0.5), (l₁·0.8, 0.5)), in deviations of the bare score, scattered by prompt."""
    generator = np.random.default_rng(seed)
    slopes = {"refusal": (0.8, leaks[0] * 0.5), "margin": (leaks[1] * 0.8, 0.5)}
    scores = {}
    for name, means in slopes.items():
        bare = generator.normal(size=prompts)
        bare = (bare - bare.mean()) / bare.std(ddof=1)
        own = np.array(means)[:, None] + 0.4 * generator.normal(size=(2, prompts))
        design = np.array([[setting["safety"], setting["helpfulness"]] for setting in GRID])
        noise = 0.1 * generator.normal(size=(len(GRID), prompts))
        noise[4] = 0.0  # the bare setting, whose deviation is the unit
        scores[name] = bare + design @ own + noise
    return scores


def found(seed: int, leaks: tuple[float, float]) -> CrossEffects:
    return cross_effects(GRID, synthetic(seed, leaks), OWN)


@pytest.mark.parametrize("leaks", [(0.3, -0.2), (0.0, 0.0)])
def test_known_effects_lie_inside_the_intervals_for_nine_seeds_in_ten(leaks: tuple[float, float]) -> None:
    truth = np.array([[0.8, leaks[0] * 0.5], [leaks[1] * 0.8, 0.5]])
    hits = np.zeros((2, 2))
    leak_hits = np.zeros(2)
    for seed in range(200):
        effects = found(seed, leaks)
        for i in range(2):
            for j in range(2):
                estimate = effects.slopes[i][j]
                assert estimate.low <= estimate.value <= estimate.high
                hits[i, j] += estimate.low <= truth[i, j] <= estimate.high
        off = (effects.leakage[0][1], effects.leakage[1][0])
        for i, (estimate, leak) in enumerate(zip(off, leaks, strict=True)):
            assert estimate is not None
            leak_hits[i] += estimate.low <= leak <= estimate.high
    assert (hits / 200 >= 0.9).all(), hits
    assert (leak_hits / 200 >= 0.9).all(), leak_hits


def test_a_linear_model_without_noise_is_recovered_exactly() -> None:
    bare = np.array([1.0, 2.0, 3.0])
    scores = {
        "refusal": np.array([bare + 2 * s["safety"] + 0.5 * s["helpfulness"] for s in GRID]),
        "margin": np.array([10 * bare + 4 * s["helpfulness"] for s in GRID]),
    }
    effects = cross_effects(GRID, scores, OWN)
    values = [[estimate.value for estimate in row] for row in effects.slopes]
    np.testing.assert_allclose(values, [[2.0, 0.5], [0.0, 0.4]], atol=1e-12)
    leaks = [[leak.value if leak else None for leak in row] for row in effects.leakage]
    np.testing.assert_allclose(np.array(leaks, float), [[1.0, 0.5 / 0.4], [0.0, 1.0]], atol=1e-12)


def test_grids_that_can_not_tell_the_sliders_apart_are_refused() -> None:
    scores = synthetic(0, (0.0, 0.0))
    together = [{"safety": v, "helpfulness": v} for v in (0.0, 0.5, 1.0)]
    with pytest.raises(SteeringError, match="each on its own"):
        cross_effects(together, {name: rows[:3] for name, rows in scores.items()}, OWN)
    with pytest.raises(SteeringError, match="bare model among the settings"):
        cross_effects(GRID[:3], {name: rows[:3] for name, rows in scores.items()}, OWN)
    with pytest.raises(SteeringError, match="9 settings by at least 2 prompts"):
        cross_effects(GRID, {name: rows[:3] for name, rows in scores.items()}, OWN)


def test_prompts_whose_score_falls_as_the_slider_rises_are_counted() -> None:
    slopes = np.array([1.0, -0.5, 2.0, -1.0])
    values = [-1.0, 0.0, 1.0]
    assert anti_steerable_fraction(values, np.outer(values, slopes) + 3).value == 0.5


def test_ranges_in_which_the_mean_falls_are_named() -> None:
    values = [-1.0, -0.5, 0.0, 0.5, 1.0]
    rising = np.outer(values, [1.0, 2.0])
    assert monotonicity(values, rising).falls == ()
    assert monotonicity(values, rising).spearman == pytest.approx(1.0)
    bent = np.array([[0.0], [2.0], [1.0], [0.5], [3.0]])
    found = monotonicity(values, bent)
    assert found.falls == ((-0.5, 0.5),)
    assert found.spearman == pytest.approx(0.6)


def test_a_leak_beside_an_own_effect_that_may_be_none_is_no_number() -> None:
    """A slider that moves its own score up on half of the prompts and down on the others."""
    bare = np.arange(8.0)
    waver = np.array([1.0, -1.1] * 4)
    scores = {"refusal": np.array([bare + waver * s["safety"] for s in GRID])}
    scores["margin"] = np.array([bare + (2 + 0.1 * waver) * (s["helpfulness"] + s["safety"]) for s in GRID])
    effects = cross_effects(GRID, scores, OWN)
    assert effects.leakage[1][0] is None
    assert effects.leakage[0][0] is None
    assert effects.leakage[0][1] is not None


def test_slopes_of_shares_keep_a_width_where_no_prompt_changes() -> None:
    settings: list[dict[str, float]] = [{}, {"a": 1.0}, {"b": 1.0}]
    same, risen = np.zeros((3, 4)), np.array([[0.0] * 40, [1.0] * 40, [0.0] * 40])
    effects = cross_effects(settings, {"x": risen, "y": same}, own={"a": "x", "b": "y"}, shares=True)
    still = effects.slopes[1][0]
    assert still == change_with_interval([0.0] * 4)
    assert still.low < -0.4
    assert effects.leakage[1][0].value == 0.0  # type: ignore[union-attr]
    assert effects.leakage[1][0].low < 0 < effects.leakage[1][0].high  # type: ignore[union-attr]
    assert effects.leakage[0][1] is None


def test_scores_of_no_slider_stand_below_and_sliders_without_a_score_leak_nothing() -> None:
    scores = synthetic(0, (0.3, -0.2))
    effects = cross_effects(GRID, scores, {"helpfulness": "margin"})
    both = cross_effects(GRID, scores, OWN)
    assert effects.scores == ("margin", "refusal")
    assert effects.sliders == ("helpfulness", "safety")
    assert effects.slopes[1][1].value == pytest.approx(both.slopes[0][0].value)
    leak, none = effects.leakage[1]
    expected = both.leakage[0][1]
    assert leak is not None
    assert expected is not None
    assert none is None
    assert leak.value == pytest.approx(expected.value)
    assert effects.leaks == [("helpfulness", "refusal", leak)]
    shared = cross_effects(GRID, scores, {"safety": "margin", "helpfulness": "margin"})
    assert shared.scores == ("margin", "refusal")
    assert [leak and leak.value for leak in shared.leakage[0]] == [1.0, 1.0]
