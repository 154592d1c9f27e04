"""95 % intervals of what was measured on a sample of prompts: shares, changes of shares, and means of any numbers.

A share's interval has a width however few the prompts: 0 of 4 is 0 % [0, 49].
"""

import warnings
from collections.abc import Sequence
from math import ceil, hypot, inf, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.stats import DegenerateDataWarning, binomtest, bootstrap, norm, sem, t

Samples: TypeAlias = Sequence[float] | NDArray[np.float64]
"""Numbers, one a prompt."""
CONFIDENCE = 0.95
RESAMPLES = 2000
BOOTSTRAP = {"confidence_level": CONFIDENCE, "n_resamples": RESAMPLES}
"""Arguments of `scipy.stats.bootstrap`."""
FEW = 10
"""Samples below which a bootstrap interval is too narrow: of 4 it holds the mean 4 times in 5, not 19 in 20."""
ROUNDING = 1e-12
"""Relative differences that are the arithmetic's: samples that differ by less are all the same."""
MARGIN = 0.03
"""Half the width of the interval that `prompts_needed` asks for: 3 points."""


class Estimate(BaseModel, frozen=True, extra="forbid"):
    """A value with its 95 % interval over prompts."""

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

    @property
    def is_told_from_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        value, low, high = (f"{number + 0.0:+.2f}" for number in (self.value, self.low, self.high))
        return f"{value} [no spread]" if self.low == self.high else f"{value} [{low}, {high}]"


def share_with_interval(samples: Samples) -> Estimate:
    """A share with its Wilson interval (scipy).

    Args:
        samples: 0 or 1, one a prompt; or the mean of several answers to it, which count as one: the ends are then those
            of the next whole numbers outwards.

    Returns:
        The share and the interval's ends, 0 to 1.

    Example:
        >>> from probes import share_with_interval
        >>> share_with_interval([0.0, 0.0, 0.0, 0.0])
        Estimate(value=0.0, low=0.0, high=0.4898...)
    """
    samples = np.asarray(samples, dtype=float)
    count, total = float(samples.sum()), len(samples)
    nearest = round(count)
    below, above = (nearest, nearest) if np.isclose(count, nearest) else (int(count), ceil(count))
    low, high = (binomtest(whole, total).proportion_ci(CONFIDENCE, method="wilson") for whole in (below, above))
    return Estimate(value=count / total, low=float(low.low), high=float(high.high))


def change_with_interval(changes: Samples, largest: float = 1.0) -> Estimate:
    """A mean change of shares on the same prompts, with the interval of Bonett and Price (2012) for paired shares.

    Two prompts are added, one that gains all it can and one that loses as much, so that prompts of which none changed
    still leave an interval.

    Args:
        changes: -1, 0 or 1, one a prompt; or a slope of shares in a slider.
        largest: how far one prompt can change.

    Returns:
        The mean, and the interval's ends.

    Example:
        >>> from probes import change_with_interval
        >>> print(change_with_interval([0.0, 0.0, 0.0, 0.0]))
        +0.00 [-0.46, +0.46]
    """
    changes = np.asarray(changes, dtype=float)
    added = with_added_prompts(changes, largest)
    low, high = np.clip(norm.interval(CONFIDENCE, added.mean(), sem(added, ddof=0)), -largest, largest)
    return Estimate(value=float(changes.mean()), low=float(low), high=float(high))


def with_added_prompts(changes: NDArray[np.float64], largest: float) -> NDArray[np.float64]:
    """The changes, and those of a prompt that gains all it can and of one that loses as much."""
    return np.append(changes, [largest, -largest])


def prompts_needed(changes: Samples, margin: float = MARGIN) -> int:
    """How many prompts it takes to know a mean change of shares within the margin, each asked bare and steered.

    Pairing pays: only prompts that change (the discordant ones) widen the interval.

    Args:
        changes: -1 to 1, one a prompt, of a first try.
        margin: half the interval's width.

    Returns:
        The number of prompts.

    Example:
        >>> from probes import prompts_needed
        >>> prompts_needed([1.0] * 10 + [0.0] * 90)
        462
    """
    variance = float(with_added_prompts(np.asarray(changes, dtype=float), 1.0).var())
    return ceil(variance * (float(norm.ppf((1 + CONFIDENCE) / 2)) / margin) ** 2)


def mean_of_estimates(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of estimates on different prompts, each weighing alike (macro average).

    Its interval has the method of variance estimates recovery (Zou and Donner 2008): distances from values to ends add
    up as squares.

    Args:
        estimates: at least one.

    Returns:
        The mean, and the interval's ends.
    """
    count = len(estimates)
    value = sum(one.value for one in estimates) / count
    down = hypot(*(one.value - one.low for one in estimates)) / count
    up = hypot(*(one.high - one.value for one in estimates)) / count
    return Estimate(value=value, low=value - down, high=value + up)


def ratio_of_estimates(part: Estimate, whole: Estimate) -> Estimate:
    """A ratio of means on different prompts, with the interval of Donner and Zou (2012), made of both intervals.

    For intervals as wide to both sides it is Fieller's.

    Args:
        part: the numerator.
        whole: the denominator, told from zero.

    Returns:
        The ratio and the interval's ends, infinite where the denominator's interval is too wide for one.

    Example:
        >>> from probes.intervals import ratio_of_estimates
        >>> print(ratio_of_estimates(Estimate(value=1, low=0, high=2), Estimate.exactly(4)))
        +0.25 [+0.00, +0.50]
    """
    if whole.value < 0:
        part, whole = (Estimate(value=-one.value, low=-one.high, high=-one.low) for one in (part, whole))
    product = part.value * whole.value

    def end(near: float, far: float, sign: float) -> float:
        below = far * (2 * whole.value - far)
        spread = product**2 - near * (2 * part.value - near) * below
        return (product + sign * sqrt(max(spread, 0.0))) / below if below > 0 else sign * inf

    return Estimate(
        value=part.value / whole.value,
        low=end(part.low, whole.high, -1),
        high=end(part.high, whole.low, 1),
    )


def mean_with_interval(
    samples: Samples, seed: int | np.random.Generator = 0, within: tuple[float, float] = (-inf, inf)
) -> Estimate:
    """A mean of numbers, with its bootstrap interval (scipy; BCa, or percentiles where BCa fails).

    Of fewer than `FEW` samples Student's, which is as wide as it has to be; resamples of so few are too much alike.

    Args:
        samples: numbers, one a prompt; without any spread among them there is none in the interval either.
        seed: decides the resamples.
        within: the least and the largest number that there can be.

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
    if len(samples) < FEW:
        ends = t.interval(CONFIDENCE, len(samples) - 1, samples.mean(), sem(samples))
        low, high = np.clip(ends, *within)
        return Estimate(value=float(samples.mean()), low=float(low), high=float(high))
    generator = np.random.default_rng(seed)
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateDataWarning)
            found = bootstrap((samples,), np.mean, method=method, rng=generator, **BOOTSTRAP)
        low, high = found.confidence_interval
        if np.isfinite([low, high]).all():
            break
    return Estimate(value=float(samples.mean()), low=float(low), high=float(high))
