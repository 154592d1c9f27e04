"""`trimtab evaluate` and `trimtab compare`: what they read, and the tables that they print."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from probes.benchmarks import (
    BENCHMARKS,
    LoadedBenchmark,
    builtin_benchmark,
    in_templates,
    load_benchmark,
    reflective_benchmark,
)
from probes.effects import CrossEffects
from probes.frontier import hypervolume
from probes.html_report import figure, share
from probes.report import Report, setting_label
from steering.errors import SteeringError, quoted


def parse_values(text: str) -> list[float]:
    """`"-1,0,1"` -> `[-1.0, 0.0, 1.0]`."""
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError:
        raise SteeringError(f"Expected numbers such as -1,0,1, found {text!r}.") from None
    if 0.0 not in values or len(values) < 2:
        raise SteeringError(f"Expected 0 and at least one other value, found {text!r}.")
    return values


def parse_seeds(text: str | None) -> tuple[int, ...]:
    """`"0,1"` -> `(0, 1)`; nothing stays nothing."""
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise SteeringError(f"Expected whole numbers such as 0,1,2, found {text!r}.") from None


def benchmarks_from(entries: Sequence[str], count: int, templates: str | None) -> list[LoadedBenchmark]:
    """Benchmarks of entries as `--benchmark` takes them, at most `count` prompts of a kind, and their jailbreaks.

    Args:
        entries: `built-in`, a name in `BENCHMARKS`, or NAME=FILE.
        templates: file of jailbreak templates for the harmful prompts.

    Raises SteeringError for an entry that names no benchmark, or templates without harmful prompts.
    """
    found = [_benchmark(entry, count) for entry in entries]
    if templates is not None:
        wrapped = [in_templates(one, templates) for one in found if one.of_kind("harmful")]
        if not wrapped:
            raise SteeringError("Expected harmful prompts to put into the templates, found none; name a --benchmark.")
        found += wrapped
    return found


def _benchmark(entry: str, count: int) -> LoadedBenchmark:
    name, separator, file = entry.partition("=")
    if name == "built-in" and not separator:
        return builtin_benchmark(count)
    if name == "reflective-judgment" and not separator:
        return reflective_benchmark(count)
    if name not in BENCHMARKS:
        raise SteeringError(
            f"There is no benchmark {name!r}; choose from 'built-in', 'reflective-judgment', {quoted(BENCHMARKS)}."
        )
    return load_benchmark(name, Path(file) if separator else None).spread(count)


def print_report(report: Report, console: Console) -> None:
    """The cross-effect matrices, how orderly each slider is, and the means of every setting."""
    if report.has_own_scores:
        unit = "standard deviations of the bare score, a unit of slider"
        _print_matrix(report.cross_effects, f"Cross-effects: slope, in {unit}", console)
    for axis, score in report.own.items():
        order = report.monotonicity(axis)
        console.print(
            f"{axis} on {score!r}: rank correlation {order.spearman:.2f}, falls {order.where_it_falls}; "
            f"{report.anti_steerable_fraction(axis):.0%} of prompts move the wrong way",
            highlight=False,
            markup=False,
        )
    if report.scores:
        means = Table("setting", title="Mean scores")
        for name in report.scores:
            means.add_column(name, justify="right")
        for place, setting in enumerate(report.settings):
            cells = (f"{sum(rows[place]) / len(rows[place]):+.3f}" for rows in report.scores.values())
            means.add_row(setting_label(setting), *cells)
        console.print(means, markup=False)
    if report.verdicts:
        _print_answers(report, console)


def print_comparison(reports: dict[str, Report], console: Console) -> None:
    """Each method's report, and the hypervolumes of their frontiers."""
    for name, report in reports.items():
        console.rule(name)
        print_report(report, console)
    volumes = Table("method", title="Hypervolume: 1 refuses every harmful prompt and answers every look-alike")
    volumes.add_column("", justify="right")
    for name, report in reports.items():
        if points := report.frontier():
            volumes.add_row(name, f"{hypervolume(points):.3f}")
    if volumes.row_count:
        console.print(volumes, markup=False)


def _print_matrix(effects: CrossEffects, title: str, console: Console) -> None:
    matrix = Table("score", title=title)
    for slider in effects.sliders:
        matrix.add_column(slider, justify="right")
    for name, row in zip(effects.scores, effects.slopes, strict=True):
        matrix.add_row(name, *map(figure, row))
    console.print(matrix, markup=False)
    for name, row, own in zip(effects.scores, effects.leakage, effects.sliders, strict=True):
        for slider, leak in zip(effects.sliders, row, strict=True):
            if slider != own:
                console.print(f"leakage of {slider} onto {name}: {figure(leak)}", highlight=False, markup=False)


def _print_answers(report: Report, console: Console) -> None:
    try:
        effects = report.outcome_effects()
    except SteeringError:
        pass  # not every axis has an outcome of its own
    else:
        _print_matrix(effects, "Cross-effects on answers: share of prompts, a unit of slider", console)
    rates = report.rates()
    answers = Table("setting", title=f"Answers: {report.decoding}, judged by {next(iter(report.verdicts))}")
    for name in rates[0]:
        answers.add_column(name, justify="right")
    for setting, row in zip(report.settings, rates, strict=True):
        answers.add_row(setting_label(setting), *map(share, row.values()))
    console.print(answers, markup=False)
    first, *others = report.verdicts
    for other in others:
        found = report.judges_agree(first, other)
        if found.share is not None:
            kappa = "undefined" if found.kappa is None else figure(found.kappa)
            line = f"{first} and {other} agree on {found.share.value:.0%} of answers, kappa {kappa}"
            console.print(line, highlight=False, markup=False)
