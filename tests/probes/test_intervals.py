"""Intervals against other libraries, published figures and their own coverage."""

import numpy as np
import pytest
from scipy.stats import binomtest

from probes.intervals import (
    Estimate,
    change_with_interval,
    mean_of_estimates,
    mean_with_interval,
    prompts_needed,
    ratio_of_estimates,
    share_with_interval,
)


@pytest.mark.parametrize(("count", "total"), [(0, 4), (4, 4), (3, 24), (50, 100)])
def test_shares_have_wilson_intervals(count: int, total: int) -> None:
    found = share_with_interval([1.0] * count + [0.0] * (total - count))
    low, high = binomtest(count, total).proportion_ci(method="wilson")
    assert found == Estimate(value=count / total, low=low, high=high)
    assert found.low < found.high


def test_several_answers_to_a_prompt_count_as_one() -> None:
    found = share_with_interval([1 / 3, 2 / 3, 1 / 3, 0.0])
    assert found.value == pytest.approx(1 / 3)
    assert found.low == share_with_interval([1.0, 0.0, 0.0, 0.0]).low
    assert found.high == share_with_interval([1.0, 1.0, 0.0, 0.0]).high
    assert share_with_interval([1 / 3, 2 / 3, 1 / 3, 2 / 3]) == share_with_interval([1.0, 1.0, 0.0, 0.0])


def test_changes_cover_the_truth_where_few_prompts_change() -> None:
    generator = np.random.default_rng(0)
    for gains, losses, prompts in ((0.02, 0.0, 24), (0.1, 0.05, 24), (0.3, 0.0, 48), (0.01, 0.01, 100)):
        odds = [gains, losses, 1 - gains - losses]
        found = [change_with_interval(generator.choice([1.0, -1.0, 0.0], prompts, p=odds)) for _ in range(400)]
        assert np.mean([one.low <= gains - losses <= one.high for one in found]) >= 0.94
        assert all(one.low <= one.value <= one.high for one in found)


def test_so_many_prompts_give_the_margin() -> None:
    tried = ([1.0] * 3 + [-1.0] + [0.0] * 16) * 20
    needed = prompts_needed(tried)
    found = change_with_interval(np.resize(tried, needed))
    assert (found.high - found.low) / 2 == pytest.approx(0.03, rel=0.02)


def test_a_mean_of_estimates_is_as_wide_as_their_errors_add_up() -> None:
    narrow, wide = Estimate(value=0.2, low=0.1, high=0.4), Estimate(value=0.4, low=0.4, high=0.7)
    found = mean_of_estimates([narrow, wide])
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.25, 0.3 + np.hypot(0.2, 0.3) / 2))
    alone = mean_of_estimates([wide])
    assert (alone.value, alone.low, alone.high) == pytest.approx((0.4, 0.4, 0.7))


def test_intervals_of_means_are_finite_where_nearly_all_samples_are_the_same() -> None:
    for samples in ([0.0] * 47 + [1.0], [0.0, 1.0], [1.0] * 5 + [0.0] * 5, [3.0] * 9):
        found = mean_with_interval(samples)
        assert found.value == pytest.approx(np.mean(samples))
        assert found.low <= found.value <= found.high
    assert str(mean_with_interval([-0.0] * 4)) == "+0.00 [no spread]"


def test_intervals_of_four_samples_hold_the_mean_as_often_as_they_promise() -> None:
    generator = np.random.default_rng(0)
    found = [mean_with_interval(generator.normal(size=4)) for _ in range(1000)]
    assert np.mean([one.low <= 0 <= one.high for one in found]) == pytest.approx(0.95, abs=0.02)
    bounded = mean_with_interval([0.0, 0.0, 0.0, 0.9], within=(0, 1))
    assert (bounded.low, bounded.value) == (0.0, pytest.approx(0.225))


def test_a_ratio_of_means_is_as_uncertain_as_both_of_them() -> None:
    """Fieller's interval, of normal means with errors 0.5 and 0.5 whose ratio is 0.4."""
    generator = np.random.default_rng(0)
    hits = []
    for part, whole in generator.normal([2.0, 5.0], 0.5, size=(2000, 2)):
        ends = (Estimate(value=one, low=one - 0.98, high=one + 0.98) for one in (part, whole))
        found = ratio_of_estimates(*ends)
        assert found.low <= found.value <= found.high
        hits.append(found.low <= 0.4 <= found.high)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)
    part, whole = Estimate(value=1, low=0.5, high=1.5), Estimate(value=-4, low=-5, high=-3)
    mirrored = ratio_of_estimates(part, Estimate(value=4, low=3, high=5))
    assert ratio_of_estimates(part, whole) == Estimate(value=-0.25, low=-mirrored.high, high=-mirrored.low)
    assert ratio_of_estimates(part, Estimate(value=1, low=0.1, high=2.5)).low == -np.inf
