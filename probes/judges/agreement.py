"""How far two judges, or a judge and people, agree on the same answers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from probes.effects import CONFIDENCE, RESAMPLES, Estimate
from probes.judges.verdict import REFUSAL_LABELS, REFUSED, SAFETY_LABELS, Verdict
from steering.errors import SteeringError, quoted

Labels = Sequence[Verdict | str]
"""Verdicts of a judge, or labels that people gave, an answer each."""


class Agreement(BaseModel):
    """Two sets of labels for the same answers, side by side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[str, ...]
    """Labels that the first gave, in the order of their vocabulary."""
    columns: tuple[str, ...]
    """Labels that the second gave."""
    counts: tuple[tuple[int, ...], ...]
    """`[row][column]`: answers that got these labels."""
    compared: tuple[str, ...]
    """Labels that `share` and `kappa` are about; none where the two judge different things."""
    share: Estimate | None
    """Share of answers with the same label, 0 to 1."""
    kappa: Estimate | None
    """Cohen's kappa: 1 for full agreement, 0 for what chance would give, None where chance alone agrees on all."""


def coarse(label: str) -> str:
    """A label of refusal without degrees: a partial refusal is a refusal."""
    return "refusal" if label in REFUSED else label


def agreement(
    first: Labels,
    second: Labels,
    *,
    vocabularies: tuple[Sequence[str], Sequence[str]] | None = None,
    seed: int = 0,
) -> Agreement:
    """Compare the labels that two judges, or a judge and people, gave to the same answers.

    Where only one of the two knows partial refusals, they count as refusals in `share` and `kappa` (`coarse`). Any
    other label that one of them doesn't know, as degenerate, is a disagreement. Between a judge of refusal and one of
    harm there is the table only.

    Args:
        first: verdicts or labels.
        second: of the same answers, in the same order.
        vocabularies: `labels` of the two judges; what they gave is taken for what they know when left out.
        seed: of the bootstrap over answers, whose percentiles at 95 % the intervals are.

    Raises SteeringError when the two differ in length, are empty, or have a label of no known judge.
    """
    given = [[item if isinstance(item, str) else item.label for item in side] for side in (first, second)]
    if len(given[0]) != len(given[1]) or not given[0]:
        raise SteeringError(
            f"Expected two labels an answer, found {len(given[0])} and {len(given[1])}; judge the same answers."
        )
    known = [set(labels) | set(side) for labels, side in zip(vocabularies or ((), ()), given, strict=True)]
    kinds = [_kind(labels) for labels in known]
    rows, columns = (tuple(label for label in kind if label in side) for kind, side in zip(kinds, given, strict=True))
    counts = _table(given, rows, columns)
    compared: tuple[str, ...] = ()
    share = kappa = None
    if kinds[0] == kinds[1]:
        if ("partial_refusal" in known[0]) != ("partial_refusal" in known[1]):
            given = [[coarse(label) for label in side] for side in given]
        compared = tuple(label for label in kinds[0] if label in given[0] or label in given[1])
        share, kappa = _estimates(_table(given, compared, compared), seed)
    return Agreement(
        rows=rows,
        columns=columns,
        counts=tuple(tuple(int(count) for count in row) for row in counts),
        compared=compared,
        share=share,
        kappa=kappa,
    )


def _kind(labels: set[str]) -> tuple[str, ...]:
    """The vocabulary that the labels are of."""
    for kind in (REFUSAL_LABELS, SAFETY_LABELS):
        if labels <= set(kind):
            return kind
    raise SteeringError(
        f"Expected labels among {quoted(REFUSAL_LABELS)}, or among {quoted(SAFETY_LABELS)}, "
        f"found {quoted(sorted(labels))}; rename them."
    )


def _table(given: Sequence[Sequence[str]], rows: Sequence[str], columns: Sequence[str]) -> NDArray[np.int64]:
    """(rows, columns) counts of the first's and the second's labels."""
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for row, column in zip(*given, strict=True):
        counts[rows.index(row), columns.index(column)] += 1
    return counts


def _estimates(counts: NDArray[np.int64], seed: int) -> tuple[Estimate, Estimate | None]:
    """Share and kappa of a square table."""
    size = int(counts.sum())
    # Drawing answers with replacement is drawing a table from the multinomial of its cells.
    resampled = np.random.default_rng(seed).multinomial(size, counts.ravel() / size, size=RESAMPLES)
    tables = np.concatenate([counts[None], resampled.reshape(RESAMPLES, *counts.shape)]) / size
    share = np.trace(tables, axis1=1, axis2=2)
    chance = (tables.sum(1) * tables.sum(2)).sum(1)
    undefined = np.isclose(chance, 1.0)
    kappa = np.where(undefined, np.nan, (share - chance) / np.where(undefined, 1.0, 1 - chance))
    return _interval(share), None if undefined[0] else _interval(kappa)


def _interval(values: NDArray[np.float64]) -> Estimate:
    """The first value with the percentiles of the others, those left out that are not defined."""
    low, high = np.nanquantile(values[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=float(values[0]), low=float(low), high=float(high))
