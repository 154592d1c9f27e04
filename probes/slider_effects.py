"""The cross-effect matrix: how much each slider moves each score, and how much of that is not its own.

It knows numbers, not models: scores of prompts under slider settings in, slopes with intervals out.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.stats import DegenerateDataWarning, bootstrap, spearmanr

from steering.errors import SteeringError, quoted

Scores = NDArray[np.float64]
"""(settings, prompts): one score of the same prompts under every setting."""
CONFIDENCE = 0.95
RESAMPLES = 2000
BOOTSTRAP = {"confidence_level": CONFIDENCE, "n_resamples": RESAMPLES}
"""Arguments of `scipy.stats.bootstrap`."""
ROUNDING = 1e-12
"""Relative differences that are the arithmetic's: samples that differ by less are all the same."""


class Estimate(BaseModel, frozen=True, extra="forbid"):
    """A value with its bootstrap interval over prompts."""

    value: float
    low: float
    high: float

    @staticmethod
    def exactly(value: float) -> "Estimate":
        """An estimate without any spread.

        Args:
            value: the value and both ends.

        Returns:
            The estimate.
        """
        return Estimate(value=float(value), low=float(value), high=float(value))

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


class CrossEffects(BaseModel, frozen=True, extra="forbid"):
    """How much a unit of each slider moves each score, in the units that `cross_effects` was asked for."""

    sliders: tuple[str, ...]
    scores: tuple[str, ...]
    """The score that each slider is meant to move, in the order of the sliders."""
    slopes: tuple[tuple[Estimate, ...], ...]
    """`[score][slider]`: the diagonal is what the sliders are for."""
    leakage: tuple[tuple[Estimate, ...], ...]
    """`[score][slider]`: the slope over the same slider's own, on the diagonal; 1 on the diagonal."""


def cross_effects(
    settings: Sequence[Mapping[str, float]],
    scores: Mapping[str, Scores],
    own: Mapping[str, str],
    *,
    standardized: bool = True,
) -> CrossEffects:
    """The matrix `∂score_i/∂slider_j` from scores under a grid of settings, with 95 % bootstrap intervals.

    Every prompt's scores are fitted by a plane in the sliders (least squares), the slopes are averaged over prompts and
    divided by the standard deviation of the bare model's score over prompts, so that scores in different units compare.

    Args:
        settings: slider values; a slider that one doesn't name is at 0. The bare setting must be among them.
        scores: by name, (settings, prompts); each score may have prompts of its own.
        own: for every slider the score that it is meant to move.
        standardized: False keeps the scores' own units: for shares, which compare as they are and may all be 0.

    Returns:
        Slopes and leakage, a row a score and a column a slider.

    Raises:
        SteeringError: when the settings don't vary each slider on its own, or leave out the bare model.

    Example:
        >>> from probes import cross_effects
        >>> scores = {"x": [[0.0, 1.0], [2.0, 3.0], [0.0, 1.0]], "y": [[0.0, 1.0], [0.0, 1.0], [1.0, 2.0]]}
        >>> found = cross_effects([{}, {"a": 1.0}, {"b": 1.0}], scores, own={"a": "x", "b": "y"}, standardized=False)
        >>> print(found.slopes[0][0])
        +2.00 [+2.00, +2.00]
    """
    sliders, names = tuple(own), tuple(own.values())
    design = np.array([[setting.get(slider, 0.0) for slider in sliders] for setting in settings])
    bare = (design == 0).all(axis=1)
    if not bare.any():
        raise SteeringError("Expected the bare model among the settings, all sliders at 0; add it to the grid.")
    if np.linalg.matrix_rank(np.column_stack([np.ones(len(design)), design])) <= len(sliders):
        raise SteeringError(f"Expected settings that move the sliders {quoted(sliders)} each on its own; vary them.")
    slopes = {name: _slopes(name, design, scores[name], bare.argmax() if standardized else None) for name in names}
    generator = np.random.default_rng(0)
    matrix, leakage = [], []
    for name in names:
        matrix.append(tuple(mean_with_interval(moved, generator) for moved in slopes[name]))
        row = [
            Estimate.exactly(1.0) if name == other else _ratio(moved, slopes[other][column], generator)
            for column, (other, moved) in enumerate(zip(names, slopes[name], strict=True))
        ]
        leakage.append(tuple(row))
    return CrossEffects(sliders=sliders, scores=names, slopes=tuple(matrix), leakage=tuple(leakage))


def anti_steerable_fraction(values: Sequence[float], scores: Scores) -> float:
    """Share of prompts whose score falls as the slider rises (Tan et al. 2024, arXiv 2407.12404).

    Args:
        values: slider values.
        scores: (values, prompts).

    Returns:
        The share, 0 to 1.

    Example:
        >>> from probes import anti_steerable_fraction
        >>> anti_steerable_fraction([0.0, 1.0], [[0.0, 0.0], [1.0, -1.0]])
        0.5
    """
    slopes = np.polyfit(np.asarray(values, dtype=float), scores, 1)[0]
    return float((slopes < 0).mean())


class Monotonicity(BaseModel, frozen=True, extra="forbid"):
    """How orderly a score's mean follows a slider."""

    spearman: float
    """Rank correlation of slider value and mean score: 1 where every step raises it."""
    falls: tuple[tuple[float, float], ...]
    """Ranges of the slider in which the mean score falls, joined where they touch."""

    @property
    def where_it_falls(self) -> str:
        """`falls` in words: `0.5 to 1`, or `nowhere`."""
        return ", ".join(f"{low:g} to {high:g}" for low, high in self.falls) or "nowhere"


def monotonicity(values: Sequence[float], scores: Scores) -> Monotonicity:
    """Spearman's correlation of the mean score with the slider, and where it goes the wrong way.

    Args:
        values: ascending slider values, at least two.
        scores: (values, prompts).

    Returns:
        The correlation, and the ranges in which the mean falls.

    Example:
        >>> from probes import monotonicity
        >>> monotonicity([0.0, 0.5, 1.0], [[0.0], [2.0], [1.0]]).where_it_falls
        '0.5 to 1'
    """
    means = np.asarray(scores, dtype=float).mean(axis=1)
    falls: list[tuple[float, float]] = []
    for step, change in enumerate(np.diff(means)):
        if change < 0:
            start = falls.pop()[0] if falls and falls[-1][1] == values[step] else float(values[step])
            falls.append((start, float(values[step + 1])))
    return Monotonicity(spearman=float(spearmanr(values, means).statistic), falls=tuple(falls))


def mean_with_interval(samples: Sequence[float] | NDArray[np.float64], seed: int | np.random.Generator = 0) -> Estimate:
    """A mean with its 95 % bootstrap interval (scipy; BCa, or percentiles where nearly all samples are the same).

    Args:
        samples: numbers, one a prompt.
        seed: decides the resamples.

    Returns:
        The mean and the interval's ends.

    Example:
        >>> from probes import mean_with_interval
        >>> mean_with_interval([0.0, 0.5, 1.0]).value
        0.5
    """
    samples = np.asarray(samples, dtype=float)
    if np.ptp(samples) <= ROUNDING * max(1.0, np.abs(samples).max()):
        return Estimate.exactly(samples[0])
    generator = np.random.default_rng(seed)
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateDataWarning)
            found = bootstrap((samples,), np.mean, method=method, rng=generator, **BOOTSTRAP)
        low, high = found.confidence_interval
        if np.isfinite([low, high]).all():
            break
    return Estimate(value=float(samples.mean()), low=float(low), high=float(high))


def _slopes(name: str, design: NDArray[np.float64], scores: Scores, bare: np.intp | None) -> Any:
    """(sliders, prompts), in standard deviations of the scores at the place `bare`, if one is given."""
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or len(scores) != len(design) or scores.shape[1] < 2:
        raise SteeringError(
            f"Expected the score {name!r} as {len(design)} settings by at least 2 prompts, found {scores.shape}."
        )
    deviation = 1.0 if bare is None else scores[bare].std(ddof=1)
    if deviation == 0:
        raise SteeringError(f"The bare model's score {name!r} is the same for every prompt; use prompts that differ.")
    planes = np.linalg.lstsq(np.column_stack([np.ones(len(design)), design]), scores, rcond=None)[0]
    return planes[1:] / deviation


def _ratio(off: NDArray[np.float64], diagonal: NDArray[np.float64], generator: np.random.Generator) -> Estimate:
    """The mean slope over that of the slider's own score, with its interval."""
    if abs(diagonal.mean()) <= ROUNDING:  # a slider that moves nothing leaks nothing that could be named
        return Estimate.exactly(np.nan)

    def ratio(a: NDArray[np.float64], b: NDArray[np.float64], axis: int = -1) -> Any:
        return a.mean(axis=axis) / b.mean(axis=axis)

    with np.errstate(divide="ignore", invalid="ignore"):  # a resample may hold no prompt that moved
        found = bootstrap((off, diagonal), ratio, method="percentile", vectorized=True, rng=generator, **BOOTSTRAP)
    low, high = found.confidence_interval
    # Where resamples hold no prompt that moved, the ratio can be anything.
    low, high = (end if np.isfinite(end) else limit for end, limit in ((low, -np.inf), (high, np.inf)))
    return Estimate(value=float(off.mean() / diagonal.mean()), low=float(low), high=float(high))
