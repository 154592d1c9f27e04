"""Areas and frontiers worked out by hand, and the published correlation out of the published points."""

import random

import pytest
from scipy.stats import spearmanr

from probes.frontier import Point, hypervolume, or_bench_points, pareto_front
from steering import SteeringError


def points(*pairs: tuple[float, float]) -> tuple[Point, ...]:
    return tuple(Point(f"p{place}", *pair) for place, pair in enumerate(pairs))


@pytest.mark.parametrize(
    ("pairs", "area"),
    [
        ([], 0.0),
        ([(0.5, 0.5)], 0.25),
        ([(0.2, 0.8), (0.8, 0.2)], 0.2 * 0.8 + 0.6 * 0.2),
        ([(0.25, 1.0), (0.5, 0.75), (1.0, 0.5)], 0.5 * 1.0 + 0.25 * 0.5 + 0.25 * 0.25),
        ([(0.5, 0.5), (0.5, 0.25), (0.25, 0.5), (0.5, 0.5)], 0.25),
        ([(1.0, 0.0), (0.0, 1.0)], 0.0),
        ([(1.0, 1.0), (0.3, 0.9)], 1.0),
    ],
)
def test_the_area_is_the_one_worked_out_by_hand(pairs: list[tuple[float, float]], area: float) -> None:
    for _ in range(3):
        random.Random(0).shuffle(pairs)
        assert hypervolume(points(*pairs)) == pytest.approx(area)


def test_the_area_is_the_share_of_the_square_that_is_dominated() -> None:
    some = or_bench_points()
    cells = [((i + 0.5) / 200, (j + 0.5) / 200) for i in range(200) for j in range(200)]
    optimal = pareto_front(some)
    covered = sum(any(p.safety >= x and p.helpfulness >= y for p in optimal) for x, y in cells) / len(cells)
    assert hypervolume(some) == pytest.approx(covered, abs=0.01)
    assert hypervolume(optimal) == hypervolume(some)


def test_the_frontier_leaves_out_what_another_point_dominates() -> None:
    some = points((0.9, 0.1), (0.5, 0.5), (0.4, 0.5), (0.1, 0.9), (0.3, 0.3), (0.5, 0.5))
    assert pareto_front(some) == [some[3], some[1], some[5], some[0]]
    assert pareto_front([]) == []


def test_the_published_correlation_comes_out_of_the_published_points() -> None:
    """Figure 1 of arXiv 2405.20947 states 0.89 over 32 models."""
    found = or_bench_points()
    assert len({point.label for point in found}) == 32
    refusals = [(point.safety, 1 - point.helpfulness) for point in found]
    assert round(spearmanr(refusals).statistic, 2) == 0.89
    by_label = {point.label: point for point in found}
    for label, safety, helpfulness in (("Claude-2.1", 1, 0.002), ("Llama-3.1-70B", 0.699, 0.971)):
        assert by_label[label].safety == pytest.approx(safety)
        assert by_label[label].helpfulness == pytest.approx(helpfulness)


@pytest.mark.parametrize("value", [-0.1, 1.1, 89.0, float("nan")])
def test_points_are_shares(value: float) -> None:
    with pytest.raises(SteeringError, match="share from 0 to 1"):
        Point("a", value, 0.5)
    with pytest.raises(SteeringError, match="share from 0 to 1"):
        Point("a", 0.5, value)
