"""The frontier of safety and helpfulness: which points no other beats in both, and how much of the square they cover.

OR-Bench (Cui et al. 2024, arXiv 2405.20947) measured 32 models: those that refuse more harmful prompts refuse more
benign ones too. A slider earns its keep by points above that line.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from steering.errors import SteeringError


@dataclass(frozen=True)
class Point:
    """One model, or one setting of its sliders."""

    label: str
    safety: float
    """Share of harmful prompts that were refused, 0 to 1."""
    helpfulness: float
    """Share of benign prompts (look-alikes, mostly) that were answered, 0 to 1."""

    def __post_init__(self) -> None:
        for name, value in (("safety", self.safety), ("helpfulness", self.helpfulness)):
            if not 0 <= value <= 1:
                raise SteeringError(
                    f"Expected the {name} of {self.label!r} as a share from 0 to 1, found {value!r}; divide by 100."
                )


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other dominates (as good in both, better in one), from the least safe to the safest."""

    def dominates(better: Point, point: Point) -> bool:
        apart = (better.safety, better.helpfulness) != (point.safety, point.helpfulness)
        return apart and better.safety >= point.safety and better.helpfulness >= point.helpfulness

    best = [point for point in points if not any(dominates(better, point) for better in points)]
    return sorted(best, key=lambda point: point.safety)


def hypervolume(points: Iterable[Point]) -> float:
    """Area of the unit square of (safety, helpfulness) that some point is at least as good as.

    Args:
        points: models, or settings of sliders.

    Returns:
        The exact area, 0 to 1.

    Example:
        >>> from probes import Point, hypervolume
        >>> hypervolume([Point("bare", 0.5, 1.0), Point("steered", 1.0, 0.5)])
        0.75
    """
    area = height = 0.0
    for point in sorted(points, key=lambda point: -point.safety):
        if point.helpfulness > height:
            area += point.safety * (point.helpfulness - height)
            height = point.helpfulness
    return area


def or_bench_points() -> list[Point]:
    """The 32 published models of OR-Bench: refusal of its toxic set against answers to its hard set."""
    lines = files("probes").joinpath("or_bench_models.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [
        Point(row["model"], (100 - float(row["toxic_accepted"])) / 100, (100 - float(row["hard_rejected"])) / 100)
        for row in rows
    ]
