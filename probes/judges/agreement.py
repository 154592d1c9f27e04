"""How far two judges, or a judge and people, agree on the same answers."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from einops import einsum
from numpy.typing import NDArray
from pydantic import BaseModel

from probes.intervals import CONFIDENCE, RESAMPLES, Estimate, share_with_interval
from probes.judges.verdict import REFUSAL_LABELS, REFUSED, SAFETY_LABELS, UNFINISHED, UNSURE, Label, Verdict
from steering.errors import SteeringError, quoted


class Agreement(BaseModel, frozen=True, extra="forbid"):
    """Two sets of labels for the same answers, side by side."""

    rows: tuple[Label, ...]
    """Labels that the first gave, in the order of their vocabulary."""
    columns: tuple[Label, ...]
    """Labels that the second gave."""
    counts: tuple[tuple[int, ...], ...]
    """`[row][column]`: answers that got these labels."""
    compared: tuple[Label, ...]
    """Labels that `share` and `kappa` are about; none where the two judge different things, or no answer both."""
    share: Estimate | None
    """Share of answers with the same label, 0 to 1."""
    kappa: Estimate | None
    """Cohen's kappa: 1 for full agreement, 0 for what chance would give, None where chance alone agrees on all."""


def agreement(first: Sequence[Verdict | str], second: Sequence[Verdict | str]) -> Agreement:
    """Compare the labels that two judges, or a judge and people, gave to the same answers.

    Where only one of the two gives partial refusals, they count as refusals in `share` and `kappa`. Any other label
    that only one gives, as degenerate, is a disagreement. Answers that either is unsure of are in the table alone.
    Between a judge of refusal and one of harm there is only the table.

    Args:
        first: verdicts of a judge, or labels that people gave, one an answer.
        second: the same, for the same answers in the same order.

    Returns:
        The table, and the share with its Wilson interval, and kappa with a bootstrap interval over answers.

    Raises:
        SteeringError: when the two differ in length, are empty, or have a label of no known judge.
    """
    given = [[item if isinstance(item, str) else item.label for item in side] for side in (first, second)]
    if len(given[0]) != len(given[1]) or not given[0]:
        found = " and ".join(str(len(side)) for side in given)
        raise SteeringError(f"Expected two labels an answer, found {found}; judge the same answers.")
    kinds = [_kind(side) for side in given]
    rows, columns = (
        tuple(label for label in (*kind, UNSURE) if label in side) for kind, side in zip(kinds, given, strict=True)
    )
    counts = _table(given, rows, columns)
    compared: tuple[Label, ...] = ()
    share = kappa = None
    sure = [pair for pair in zip(*given, strict=True) if UNSURE not in pair]
    if kinds[0] == kinds[1] and sure:
        given = [list(side) for side in zip(*sure, strict=True)]
        if ("partial_refusal" in given[0]) != ("partial_refusal" in given[1]):
            given = [["refusal" if label in REFUSED else label for label in side] for side in given]
        compared = tuple(label for label in kinds[0] if label in given[0] or label in given[1])
        share, kappa = _share_and_kappa(np.array(_table(given, compared, compared)))
    return Agreement(rows=rows, columns=columns, counts=counts, compared=compared, share=share, kappa=kappa)


def _kind(labels: Sequence[str]) -> tuple[Label, ...]:
    """The vocabulary that the labels are of."""
    kinds: tuple[tuple[Label, ...], ...] = (*REFUSAL_LABELS, UNFINISHED), (*SAFETY_LABELS, UNFINISHED)
    for kind in kinds:
        if set(labels) <= {*kind, UNSURE}:
            return kind
    raise SteeringError(
        f"Expected labels among {quoted(REFUSAL_LABELS)}, or among {quoted(SAFETY_LABELS)}, "
        f"found {quoted(sorted(set(labels)))}; rename them."
    )


def _table(given: Sequence[Sequence[str]], rows: Sequence[str], columns: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """`[row][column]`: how often the first gave the one label and the second the other."""
    pairs = Counter(zip(*given, strict=True))
    return tuple(tuple(pairs[row, column] for column in columns) for row in rows)


def _share_and_kappa(counts: NDArray[np.int64]) -> tuple[Estimate, Estimate | None]:
    """The two figures of a square table."""
    size = int(counts.sum())
    # Drawing answers with replacement is drawing a table from the multinomial of its cells.
    resampled = np.random.default_rng(0).multinomial(size, counts.ravel() / size, size=RESAMPLES)
    tables = np.concatenate([counts[None], resampled.reshape(RESAMPLES, *counts.shape)]) / size
    share = einsum(tables, "sample label label -> sample")
    chance = einsum(tables, tables, "sample label any, sample other label -> sample")
    undefined = np.isclose(chance, 1.0)
    kappa = np.where(undefined, np.nan, (share - chance) / np.where(undefined, 1.0, 1 - chance))
    same = int(np.trace(counts))
    alike = share_with_interval(np.repeat([1.0, 0.0], [same, size - same]))
    if undefined[0]:
        return alike, None
    low, high = np.nanquantile(kappa[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return alike, Estimate(value=float(kappa[0]), low=float(low), high=float(high))
