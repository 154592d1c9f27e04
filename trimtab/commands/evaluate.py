"""`trimtab evaluate`: how far each slider moves its own score and the other's."""

from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from steering.atomic_write import atomic_write
from steering.errors import SteeringError
from trimtab.measuring import GridOptions
from trimtab.options import ModelOptions, VectorOptions, console
from trimtab.tables import print_table

if TYPE_CHECKING:
    from probes.report import Report
    from probes.slider_effects import CrossEffects


def evaluate(
    out: Annotated[str, typer.Option("--out", "-o", help="JSON file for every score, answer and verdict.")],
    model: ModelOptions,
    vectors: VectorOptions,
    options: GridOptions,
    html: Annotated[str | None, typer.Option(help="File for the report as one HTML page.")] = None,
) -> None:
    """Measure how far safety and helpfulness each move their own score and the other's.

    Without generating, unless a --benchmark gives prompts to answer.
    """
    from probes.evaluation import evaluate as measure
    from probes.grid_scores import builtin_scores

    grid, decoding, benchmarks = options.grid(), options.decoding(), options.benchmarks()
    with atomic_write(out) as temporary, nullcontext() if html is None else atomic_write(html) as page:
        judges = options.judges()
        lm = model.load()
        sliders = vectors.sliders(lm)
        report = measure(
            lm,
            sliders,
            dict.fromkeys(sliders, grid),
            None if benchmarks else builtin_scores(options.prompts),
            benchmarks=benchmarks,
            judges=judges,
            decoding=decoding,
            folder=options.cells,
        )
        report.save(temporary)
        if page is not None:
            report.to_html(page)
    print_report(report)
    console.print(f"Written to {' and '.join(filter(None, [out, html]))}")


def print_report(report: "Report") -> None:
    """The cross-effect matrices, how orderly each slider is, and the means of every setting."""
    from probes.html_report import figure, share
    from steering.display.labels import setting_label

    settings = [setting_label(setting) for setting in report.settings]
    if report.has_own_scores:
        unit = "standard deviations of the bare score, a unit of slider"
        _print_matrix(report.cross_effects, f"Cross-effects: slope, in {unit}")
    for axis, score in report.own.items():
        order = report.monotonicity(axis)
        console.print(
            f"{axis} on {score!r}: rank correlation {order.spearman:.2f}, falls {order.where_it_falls}; "
            f"{report.anti_steerable_fraction(axis):.0%} of prompts move the wrong way"
        )
    if report.scores:
        means = ([f"{sum(row) / len(row):+.3f}" for row in rows] for rows in report.scores.values())
        print_table("Mean scores", ["setting", *report.scores], zip(settings, *means, strict=True))
    if not report.verdicts:
        return
    with suppress(SteeringError):  # not every axis has an outcome of its own
        _print_matrix(report.outcome_effects(), "Cross-effects on answers: share of prompts, a unit of slider")
    rates = report.rates()
    first, *others = report.verdicts
    rows = [[setting, *map(share, row.values())] for setting, row in zip(settings, rates, strict=True)]
    print_table(f"Answers: {report.decoding}, judged by {first}", ["setting", *rates[0]], rows)
    for other in others:
        found = report.judges_agree(first, other)
        if found.share is not None:
            kappa = "undefined" if found.kappa is None else figure(found.kappa)
            console.print(f"{first} and {other} agree on {found.share.value:.0%} of answers, kappa {kappa}")


def _print_matrix(effects: "CrossEffects", title: str) -> None:
    from probes.html_report import figure

    rows = [[name, *map(figure, row)] for name, row in zip(effects.scores, effects.slopes, strict=True)]
    print_table(title, ["score", *effects.sliders], rows)
    for name, row, own in zip(effects.scores, effects.leakage, effects.sliders, strict=True):
        for slider, leak in zip(effects.sliders, row, strict=True):
            if slider != own:
                console.print(f"leakage of {slider} onto {name}: {figure(leak)}")
