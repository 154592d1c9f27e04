"""The frontier of safety and helpfulness: which points no other beats in both, and how much of the square they cover.

OR-Bench (Cui et al. 2024, arXiv 2405.20947) measured 32 models: those that refuse more harmful prompts refuse more
benign ones too. A slider earns its keep by points above that line.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import spearmanr

from steering.errors import SteeringError

_OR_BENCH = Path(__file__).with_name("or_bench_models.csv")


@dataclass(frozen=True)
class Point:
    """One model, or one setting of its sliders."""

    label: str
    safety: float
    """Share of harmful prompts that were refused, 0 to 1."""
    helpfulness: float
    """Share of benign prompts (look-alikes, mostly) that were answered, 0 to 1."""

    def __post_init__(self) -> None:
        for name in ("safety", "helpfulness"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise SteeringError(
                    f"Expected the {name} of {self.label!r} as a share from 0 to 1, found {value!r}; divide per cent."
                )

    def dominates(self, other: "Point") -> bool:
        """Whether it is at least as good in both and better in one."""
        mine, theirs = (self.safety, self.helpfulness), (other.safety, other.helpfulness)
        return mine != theirs and mine[0] >= theirs[0] and mine[1] >= theirs[1]


@dataclass(frozen=True)
class Frontier:
    """Points of models or of slider settings."""

    points: tuple[Point, ...]

    @property
    def optimal(self) -> tuple[Point, ...]:
        """The points that no other dominates, from the least safe to the safest."""
        best = (point for point in self.points if not any(other.dominates(point) for other in self.points))
        return tuple(sorted(best, key=lambda point: point.safety))

    @property
    def hypervolume(self) -> float:
        """Area that the points dominate, of a square of 1."""
        return hypervolume(self.points)

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of refusing harmful prompts with refusing benign ones."""
        return rank_correlation(self.points)


def hypervolume(points: Iterable[Point], reference: tuple[float, float] = (0.0, 0.0)) -> float:
    """Area of all (safety, helpfulness) that some point is at least as good as, above the reference; exact."""
    area, height = 0.0, reference[1]
    for point in sorted(points, key=lambda point: -point.safety):
        if point.safety > reference[0] and point.helpfulness > height:
            area += (point.safety - reference[0]) * (point.helpfulness - height)
            height = point.helpfulness
    return area


def rank_correlation(points: Iterable[Point]) -> float:
    """Spearman's correlation of refusing harmful prompts with refusing benign ones: 1 is a mere knob of refusal.

    Raises SteeringError for fewer than three points, or where one of the two never varies.
    """
    pairs = [(point.safety, 1 - point.helpfulness) for point in points]
    if len(pairs) < 3 or any(len(set(values)) == 1 for values in zip(*pairs, strict=True)):
        raise SteeringError(
            f"Expected at least three points that differ in safety and helpfulness, found {len(pairs)}; add more."
        )
    return float(spearmanr(pairs).statistic)


def or_bench_points() -> tuple[Point, ...]:
    """The 32 published models of OR-Bench: refusal of its toxic set against answers to its hard set."""
    lines = _OR_BENCH.read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return tuple(
        Point(
            row["model"],
            safety=(100 - float(row["toxic_accepted"])) / 100,
            helpfulness=(100 - float(row["hard_rejected"])) / 100,
        )
        for row in rows
    )
