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
