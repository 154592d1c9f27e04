"""What belongs together in a report: all its figures presume this, so it is checked when one is made or read."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field

from steering.errors import quoted

if TYPE_CHECKING:
    from probes.measurements import Measurements

LARGEST = 3.4e38
"""Scores and slider values are float32's; their squares and sums stay far from the end of float64."""
Measured: TypeAlias = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


def is_measured(value: float) -> bool:
    """Whether it is a number that a report can hold."""
    return abs(value) <= LARGEST


def check_shape(report: "Measurements") -> None:
    """Raises ValueError where parts of the report don't fit each other."""
    axes = _check_settings(report.settings, report.axes)
    _check_names("axes of own scores", report.own, axes)
    _check_names("own scores", report.own.values(), report.scores)
    _check_names("sliders", report.sliders, report.axes)
    for name, rows in report.scores.items():
        widths = {len(row) for row in rows}
        if len(rows) != len(report.settings) or len(widths) != 1 or 0 in widths:
            shape = f"{len(rows)} rows of {_lengths(widths)} prompts for {len(report.settings)} settings"
            raise ValueError(f"expected scores of the same prompts under every setting, found {shape} in {name!r}")
    if report.benchmarks and not report.verdicts:
        raise ValueError("expected the verdicts of a judge on the answers, found none")
    _check_answers(report, report.answers, "answers")
    for judge, verdicts in report.verdicts.items():
        _check_answers(report, verdicts, f"verdicts of {judge!r}")


def _check_settings(settings: Sequence[Mapping[str, float]], known: Collection[str]) -> Collection[str]:
    """The axes that are moved."""
    if not settings or not settings[0] or any(setting.keys() != settings[0].keys() for setting in settings):
        raise ValueError("expected settings of the same axes, one axis at least, found others")
    _check_names("axes of the settings", settings[0], known)
    if not any(not any(setting.values()) for setting in settings):
        raise ValueError("expected the bare model among the settings, found none with all axes at 0")
    if len({tuple(setting[axis] for axis in settings[0]) for setting in settings}) < len(settings):
        raise ValueError("expected every setting once, found one several times")
    return settings[0]


def _check_names(what: str, names: Collection[str], known: Collection[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"expected {what} among {quoted(known)}, found {quoted(unknown)}")


def _check_answers(report: "Measurements", found: Mapping[str, Sequence[Sequence[Sequence[Any]]]], what: str) -> None:
    if found.keys() != report.benchmarks.keys():
        raise ValueError(f"expected {what} for the benchmarks {quoted(report.benchmarks)}, found {quoted(found)}")
    for name, rows in found.items():
        asked = len(report.benchmarks[name].prompts)
        runs, widths = {len(row) for row in rows}, {len(run) for row in rows for run in row}
        if len(rows) != len(report.settings) or len(runs) != 1 or widths != {asked}:
            shape = f"{len(rows)} by {_lengths(runs)} by {_lengths(widths)}"
            raise ValueError(
                f"expected {what} for {len(report.settings)} settings, as many runs each, and {asked} prompts, "
                f"found {shape} in {name!r}"
            )


def _lengths(found: Collection[int]) -> str:
    return " or ".join(map(str, sorted(found))) or "0"
