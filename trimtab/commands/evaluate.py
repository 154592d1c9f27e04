"""`trimtab evaluate`: how far each slider moves its own score and the others."""

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from steering.errors import SteeringError
from trimtab.builtin_sliders import check_choice
from trimtab.measuring import GridOptions, behind_openings
from trimtab.options import ModelOptions, PairsOptions, VectorOptions, console
from trimtab.saving import check_places, save
from trimtab.tables import print_table

if TYPE_CHECKING:
    from probes.report import Report
    from probes.slider_effects import CrossEffects


def evaluate(
    out: Annotated[str, typer.Option("--out", "-o", help="JSON file for every score, answer and verdict.")],
    model: ModelOptions,
    vectors: VectorOptions,
    options: GridOptions,
    own_sets: PairsOptions,
    html: Annotated[str | None, typer.Option(help="File for the report as one HTML page.")] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="standard, robustness (attacks, several turns, prefilled answers) or full: their benchmarks, as far "
            "as there."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Folder with the suite's prompts: xstest.csv, harmbench.jsonl, …; from the Hub without it."),
    ] = None,
    oracle: Annotated[
        bool, typer.Option("--oracle", help="Answer also with the prompts' labels in place of what gates read.")
    ] = False,
) -> None:
    """Measure how far each slider moves its own score and the others: safety, helpfulness, or an axis of your own.

    An axis of your own has its score from the held-out pairs of its contrast set: name the file with --pairs. Nothing
    is generated, unless a --benchmark or a --suite gives prompts to answer.
    """
    from probes.benchmarks import labelled_harm
    from probes.evaluation import evaluate as measure
    from probes.grid_scores import builtin_scores
    from probes.html_report import write_html
    from probes.suites import SUITES, Suite, load_suite, prefilled_suite
    from steering.vectors.slider import check_reads_harm

    grid, decoding, benchmarks = options.grid(), options.decoding(), options.benchmarks()
    pairs = own_sets.contrast_sets()
    missing: list[str] = []
    if suite is not None:
        check_choice("suite", suite, SUITES)
        parts, missing = load_suite(cast(Suite, suite), data, options.prompts, [one.name for one in benchmarks])
        benchmarks += parts
    elif data is not None:
        raise SteeringError("Expected --suite with --data, found none; name a suite, or each file with --benchmark.")
    openings = options.openings(benchmarks)
    if oracle and not benchmarks:
        raise SteeringError(
            "Expected prompts with labels for --oracle, found none; name a --benchmark, such as built-in."
        )
    check_places(out, html, folders=[options.cells])
    judges = options.judges()
    lm = model.load()
    if suite is not None and not openings:
        parts, complied_with_none = prefilled_suite(lm, cast(Suite, suite), benchmarks)
        benchmarks += parts
        missing += complied_with_none
    else:
        benchmarks += behind_openings(lm, benchmarks, openings)
    for sentence in missing:
        console.print(sentence)
    sliders = vectors.sliders(lm)
    if oracle:
        check_reads_harm(sliders.values())
    settings = dict.fromkeys(sliders, grid)
    same: dict[str, Any] = {"judges": judges, "decoding": decoding, "folder": options.cells}
    scores = None if benchmarks else builtin_scores(options.prompts)
    reports = {"report": measure(lm, sliders, settings, scores, benchmarks=benchmarks, pairs=pairs, **same)}
    reports["report"] = reports["report"].model_copy(update={"missing": tuple(missing)})
    if oracle:
        harm = labelled_harm(benchmarks)
        reports["with labels"] = measure(lm, sliders, settings, benchmarks=benchmarks, harm=harm, **same)
    written = [save(reports["report"].save, out)]
    if html is not None:
        written.append(save(partial(write_html, reports), html))
    print_report(reports["report"])
    if oracle:
        _print_beside(*reports.values())
    console.print(f"Written to {' and '.join(map(str, written))}")


def print_report(report: "Report") -> None:
    """The cross-effect matrices, how orderly each slider is, and the means of every setting."""
    from probes.html_report import change, figure, robustness, sample_size, share
    from steering.display.labels import setting_label

    settings = [setting_label(setting) for setting in report.settings]
    if report.has_own_scores:
        unit = "standard deviations of the bare score, a unit of slider"
        _print_matrix(report.cross_effects, f"Cross-effects: slope, in {unit}")
    for axis, score in report.own.items():
        order = report.monotonicity(axis)
        console.print(
            f"{axis} on {score!r}, {len(report.scores[score][0])} prompts or pairs: rank correlation "
            f"{order.spearman:.2f}, falls {order.where_it_falls}; "
            f"{share(report.anti_steerable_fraction(axis))} of prompts move the wrong way"
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
    console.print(sample_size(report))
    if attacks := robustness(report):
        cells = [
            [attack, *(share(rate) if moved is None else f"{share(rate)}\n{change(moved)}" for rate, moved in row)]
            for attack, row in attacks.items()
        ]
        title = "Robustness: attacks refused, below it steered minus bare in points"
        print_table(title, ["attack", *settings], cells, lines=True)
    if "unsure" in rates[0]:
        console.print(
            f"{first} can't read the answers that it is unsure of, such as those that aren't in English; they count "
            "neither as refused nor as answered: name a --judge that knows their language"
        )
    for other in others:
        found = report.judges_agree(first, other)
        if found.share is not None:
            kappa = "undefined" if found.kappa is None else figure(found.kappa)
            console.print(f"{first} and {other} agree on {share(found.share)} of answers, kappa {kappa}")


def _print_beside(read: "Report", told: "Report") -> None:
    """What a gate that never errs would change."""
    from probes.html_report import share
    from probes.report import OUTCOMES
    from steering.display.labels import setting_label

    pairs = [*zip(read.rates(), told.rates(), strict=True)]
    names = [name for name in OUTCOMES if name in pairs[0][0]]
    columns = [f"{name}: {how}" for name in names for how in ("gate", "labels")]
    rows = [
        [setting_label(setting), *(share(rates[name]) for name in names for rates in pair)]
        for setting, pair in zip(read.settings, pairs, strict=True)
    ]
    print_table("Built-in gate beside the labels", ["setting", *columns], rows)


def _print_matrix(effects: "CrossEffects", title: str) -> None:
    from probes.html_report import figure

    rows = [[name, *map(figure, row)] for name, row in zip(effects.scores, effects.slopes, strict=True)]
    print_table(title, ["score", *effects.sliders], rows)
    for slider, score, leak in effects.leaks:
        console.print(f"leakage of {slider} onto {score}: {figure(leak)}")
