"""The cross-effect matrix: how much each slider moves each score, and how much of that is not its own.

It knows numbers, not models: scores of prompts under slider settings in, slopes with intervals out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.stats import bootstrap, spearmanr

from probes.intervals import (
    BOOTSTRAP,
    Estimate,
    change_with_interval,
    mean_with_interval,
    share_with_interval,
    with_added_prompts,
)
from steering.errors import SteeringError, quoted

Scores = NDArray[np.float64]
"""(settings, prompts): one score of the same prompts under every setting."""


class CrossEffects(BaseModel, frozen=True, extra="forbid"):
    """How much a unit of each slider moves each score, in the units that `cross_effects` was asked for."""

    sliders: tuple[str, ...]
    scores: tuple[str, ...]
    """The score that each slider is meant to move, in the order of the sliders; behind them those that none is."""
    slopes: tuple[tuple[Estimate, ...], ...]
    """`[score][slider]`: the diagonal is what the sliders are for."""
    leakage: tuple[tuple[Estimate | None, ...], ...]
    """`[score][slider]`, for scores that a slider is meant to move: the slope over the same slider's own, 1 there.

    None where the slider's own slope can't be told from 0 on so few prompts: a share of nothing is no number.
    """


def cross_effects(
    settings: Sequence[Mapping[str, float]],
    scores: Mapping[str, Scores],
    own: Mapping[str, str],
    *,
    shares: bool = False,
) -> CrossEffects:
    """The matrix `∂score_i/∂slider_j` from scores under a grid of settings, with 95 % intervals.

    Every prompt's scores are fitted by a plane in the sliders (least squares), the slopes are averaged over prompts and
    divided by the standard deviation of the bare model's score over prompts, so that scores in different units compare.
    Intervals are bootstrapped over prompts. Shares keep their unit; their intervals are `change_with_interval`'s.

    Args:
        settings: slider values; a slider that one doesn't name is at 0. The bare setting must be among them.
        scores: by name, (settings, prompts); each score may have prompts of its own.
        own: for every slider the score that it is meant to move.
        shares: whether the scores are shares from 0 to 1.

    Returns:
        Slopes and leakage, a row a score and a column a slider.

    Raises:
        SteeringError: when the settings don't vary each slider on its own, or leave out the bare model.

    Example:
        >>> from probes import cross_effects
        >>> scores = {"x": [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]], "y": [[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]]}
        >>> found = cross_effects([{}, {"a": 1.0}, {"b": 1.0}], scores, own={"a": "x", "b": "y"}, shares=True)
        >>> print(found.slopes[0][0])
        +1.00 [-0.35, +1.00]
    """
    sliders, names = tuple(own), tuple(own.values())
    design, generator = _design(settings, sliders), np.random.default_rng(0)
    moved, slopes = {}, {}
    for name in names:
        if shares:
            slopes[name] = share_slopes(settings, sliders, scores[name])
            rows = zip(_planes(name, design, scores[name]), _largest_slopes(design), strict=True)
            moved[name] = [with_added_prompts(row, largest) for row, largest in rows]
        else:
            moved[name] = list(_planes(name, design, scores[name]) / _bare_deviation(name, design, scores[name]))
            slopes[name] = tuple(mean_with_interval(row, generator) for row in moved[name])

    def leak(name: str, column: int, owner: str) -> Estimate | None:
        if not slopes[owner][column].is_told_from_zero:
            return None
        if name == owner:
            return Estimate.exactly(1.0)
        value = slopes[name][column].value / slopes[owner][column].value
        return _ratio(value, moved[name][column], moved[owner][column], generator)

    return CrossEffects(
        sliders=sliders,
        scores=names,
        slopes=tuple(slopes[name] for name in names),
        leakage=tuple(tuple(leak(name, *place) for place in enumerate(names)) for name in names),
    )


def share_slopes(
    settings: Sequence[Mapping[str, float]], sliders: Sequence[str], scores: Scores
) -> tuple[Estimate, ...]:
    """What a unit of each slider adds to a share, by the plane that `cross_effects` fits.

    Args:
        settings: as `cross_effects` takes them.
        sliders: their names.
        scores: (settings, prompts), each from 0 to 1.

    Returns:
        A slope a slider, with the interval of `change_with_interval`.

    Raises:
        SteeringError: as `cross_effects` does.
    """
    design = _design(settings, sliders)
    rows = zip(_planes("share", design, scores), _largest_slopes(design), strict=True)
    return tuple(change_with_interval(row, largest) for row, largest in rows)


def anti_steerable_fraction(values: Sequence[float], scores: Scores) -> Estimate:
    """Share of prompts whose score falls as the slider rises (Tan et al. 2024, arXiv 2407.12404).

    Args:
        values: slider values, at least two.
        scores: (values, prompts).

    Returns:
        The share, 0 to 1, with its Wilson interval.

    Raises:
        SteeringError: for a single value, which nothing falls along.

    Example:
        >>> from probes import anti_steerable_fraction
        >>> anti_steerable_fraction([0.0, 1.0], [[0.0, 0.0], [1.0, -1.0]]).value
        0.5
    """
    _check_moves(values)
    slopes = np.polyfit(np.asarray(values, dtype=float), scores, 1)[0]
    return share_with_interval(slopes < 0)


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

    Raises:
        SteeringError: for a single value, which nothing rises along.

    Example:
        >>> from probes import monotonicity
        >>> monotonicity([0.0, 0.5, 1.0], [[0.0], [2.0], [1.0]]).where_it_falls
        '0.5 to 1'
    """
    _check_moves(values)
    means = np.asarray(scores, dtype=float).mean(axis=1)
    falls: list[tuple[float, float]] = []
    for step, change in enumerate(np.diff(means)):
        if change < 0:
            start = falls.pop()[0] if falls and falls[-1][1] == values[step] else float(values[step])
            falls.append((start, float(values[step + 1])))
    return Monotonicity(spearman=float(spearmanr(values, means).statistic), falls=tuple(falls))


def _check_moves(values: Sequence[float]) -> None:
    if len(set(values)) < 2:
        raise SteeringError(f"Expected two values of the slider at least, found {list(values)}; measure another one.")


def _design(settings: Sequence[Mapping[str, float]], sliders: Sequence[str]) -> NDArray[np.float64]:
    """(settings, sliders): their values. Raises SteeringError where no plane can be fitted to them."""
    design = np.array([[setting.get(slider, 0.0) for slider in sliders] for setting in settings])
    if not (design == 0).all(axis=1).any():
        raise SteeringError("Expected the bare model among the settings, all sliders at 0; add it to the grid.")
    if np.linalg.matrix_rank(_with_constant(design)) <= len(sliders):
        raise SteeringError(f"Expected settings that move the sliders {quoted(sliders)} each on its own; vary them.")
    return design


def _with_constant(design: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(design)), design])


def _planes(name: str, design: NDArray[np.float64], scores: Scores) -> NDArray[np.float64]:
    """(sliders, prompts): slopes of each prompt's scores."""
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or len(scores) != len(design) or scores.shape[1] < 2:
        raise SteeringError(
            f"Expected the score {name!r} as {len(design)} settings by at least 2 prompts, found {scores.shape}."
        )
    planes: NDArray[np.float64] = np.linalg.pinv(_with_constant(design)) @ scores
    return planes[1:]


def _largest_slopes(design: NDArray[np.float64]) -> NDArray[np.float64]:
    """How steep a plane each slider can have where scores lie between 0 and 1."""
    weights = np.linalg.pinv(_with_constant(design))[1:]
    largest: NDArray[np.float64] = np.clip(weights, 0, None).sum(axis=1)
    return largest


def _bare_deviation(name: str, design: NDArray[np.float64], scores: Scores) -> float:
    bare = int((design == 0).all(axis=1).argmax())
    deviation = float(np.asarray(scores[bare], dtype=float).std(ddof=1))
    if deviation == 0:
        raise SteeringError(f"The bare model's score {name!r} is the same for every prompt; use prompts that differ.")
    return deviation


def _ratio(
    value: float, off: NDArray[np.float64], diagonal: NDArray[np.float64], generator: np.random.Generator
) -> Estimate:
    """A ratio of mean slopes, with its interval."""

    def ratio(a: NDArray[np.float64], b: NDArray[np.float64], axis: int = -1) -> Any:
        return a.mean(axis=axis) / b.mean(axis=axis)

    with np.errstate(divide="ignore", invalid="ignore"):  # a resample may hold no prompt that moved
        found = bootstrap((off, diagonal), ratio, method="percentile", vectorized=True, rng=generator, **BOOTSTRAP)
    low, high = found.confidence_interval
    # Where resamples hold no prompt that moved, the ratio can be anything.
    low, high = (end if np.isfinite(end) else limit for end, limit in ((low, -np.inf), (high, np.inf)))
    # Prompts added to shares draw the resamples towards 0.
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)))
