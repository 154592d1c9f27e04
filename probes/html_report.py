"""One self-contained HTML page of one report, or of several methods side by side."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from probes import plots
from probes.effects import CrossEffects, Estimate
from probes.frontier import hypervolume
from steering.display.html import paragraph, table
from steering.display.labels import setting_label
from steering.display.plots import as_image, layer_profile
from steering.errors import SteeringError
from steering.files import atomic_write

if TYPE_CHECKING:
    from probes.report import Report

EXAMPLES = 3
"""Prompts of a kind whose answers are shown."""


def write_html(reports: "Mapping[str, Report]", path: str | Path) -> None:
    """Write the page, whole or not at all; it loads nothing from anywhere.

    Args:
        reports: by the method's name; all of one model.

    Raises SteeringError for no report, or reports of different models.
    """
    check_comparable(reports)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["share"] = share
    environment.filters["figure"] = figure
    template = environment.from_string((resources.files("probes") / "report.html.jinja").read_text(encoding="utf-8"))
    first = next(iter(reports.values()))
    frontiers = {name: points for name, report in reports.items() if (points := report.frontier())}
    page = template.render(
        model=first.model,
        versions=first.versions,
        decoding=first.decoding,
        benchmarks=first.benchmarks,
        judges=list(first.verdicts),
        frontier=plots.frontier(frontiers) if frontiers else "",
        hypervolumes={name: hypervolume(points) for name, points in frontiers.items()},
        methods={name: _method(report) for name, report in reports.items()},
        examples=_examples(reports),
        profile=layer_profile(
            {
                axis if len(reports) == 1 else f"{name}: {axis}": figures
                for name, report in reports.items()
                for axis, slider in report.sliders.items()
                if (figures := slider.figures())
            }
        ),
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def summary_html(report: "Report") -> str:
    """What a notebook shows of a report: its cross-effect matrices, else the rates of answers by setting."""
    matrices = _matrices(report)
    shown = [
        paragraph(f"{matrix['title']}, {matrix['unit']}:", "") + as_image(matrix["plot"], _spoken(matrix["effects"]))
        for matrix in matrices
    ]
    if (rates := _rates(report)) and not matrices:
        cells = [[label, *map(share, row)] for label, row in rates["rows"]]
        shown.append(table(["setting", *rates["names"]], cells))
    axes, prompts = ", ".join(report.axes), sum(len(b.prompts) for b in report.benchmarks.values())
    answered = f", {prompts} prompts answered" if prompts else ""
    head = f"{report.model.name}, {len(report.settings)} settings of {axes}{answered}"
    return paragraph("Report", head) + "".join(shown)


def _spoken(effects: CrossEffects) -> str:
    return "; ".join(
        f"{slider} on {score}: {estimate}"
        for score, row in zip(effects.scores, effects.slopes, strict=True)
        for slider, estimate in zip(effects.sliders, row, strict=True)
    )


def check_comparable(reports: "Mapping[str, Report]") -> None:
    """Raise SteeringError unless there are reports, and all of one model."""
    if not reports:
        raise SteeringError("Expected at least one report, found none.")
    models = {report.model.model_dump_json(): report.model.name for report in reports.values()}
    if len(models) > 1:
        raise SteeringError(f"Expected reports of one model, found {', '.join(map(repr, models.values()))}.")


def share(estimate: Estimate) -> str:
    """`47 % [38, 56]`."""
    return f"{estimate.value:.0%} [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]".replace("%", " %")


def figure(estimate: Estimate) -> str:
    """`+0.12 [-0.03, +0.20]`, or a dash where there is none."""
    return "–" if math.isnan(estimate.value) else str(estimate)


def _method(report: "Report") -> dict[str, Any]:
    """What the template shows of one method."""
    return {
        "axes": report.axes,
        "sliders": report.sliders,
        "matrices": _matrices(report),
        "orders": [_order(report, axis) for axis in report.own],
        "curves": plots.dose_response(_curves(report)) if report.own else "",
        "rates": _rates(report),
        "scores": _scores(report),
        "agreement": _agreement(report),
    }


def _matrices(report: "Report") -> list[dict[str, Any]]:
    matrices = []
    if report.has_own_scores:
        matrices.append(_matrix("Scores without generation", report.cross_effects, "bare standard deviations a unit"))
    with suppress(SteeringError):  # not every axis has an outcome, and not every report has answers
        matrices.append(_matrix("Outcomes of answers", report.outcome_effects(), "share of prompts a unit"))
    return matrices


def _matrix(title: str, effects: CrossEffects, unit: str) -> dict[str, Any]:
    return {"title": title, "unit": unit, "effects": effects, "plot": plots.effect_matrix(effects, unit)}


def _order(report: "Report", axis: str) -> dict[str, Any]:
    order = report.monotonicity(axis)
    return {
        "axis": axis,
        "score": report.own[axis],
        "spearman": order.spearman,
        "falls": order.where_it_falls,
        "anti_steerable": report.anti_steerable_fraction(axis),
    }


def _curves(report: "Report") -> dict[str, dict[str, plots.Curve]]:
    return {axis: {score: report.along(axis, score) for score in report.scores} for axis in report.settings[0]}


def _rates(report: "Report") -> dict[str, Any]:
    if not report.verdicts:
        return {}
    rows = report.rates()
    return {
        "names": list(rows[0]),
        "rows": [
            (setting_label(setting), list(row.values())) for setting, row in zip(report.settings, rows, strict=True)
        ],
        "judge": next(iter(report.verdicts)),
    }


def _scores(report: "Report") -> dict[str, Any]:
    return {
        "names": list(report.scores),
        "rows": [
            (setting_label(setting), [sum(rows[place]) / len(rows[place]) for rows in report.scores.values()])
            for place, setting in enumerate(report.settings)
        ],
    }


def _agreement(report: "Report") -> list[dict[str, Any]]:
    judges = list(report.verdicts)
    return [
        {"first": judges[0], "second": other, "found": report.judges_agree(judges[0], other)} for other in judges[1:]
    ]


def _examples(reports: "Mapping[str, Report]") -> list[dict[str, Any]]:
    """A few prompts of every kind, with the bare answer and those where all axes stand at their ends."""
    shown = []
    first = next(iter(reports.values()))
    for name, benchmark in first.benchmarks.items():
        for kind in dict.fromkeys(prompt.kind for prompt in benchmark.prompts):
            places = [place for place, prompt in enumerate(benchmark.prompts) if prompt.kind == kind][:EXAMPLES]
            for place in places:
                columns = [("bare", *_answer(first, name, first.bare, place))]
                for method, report in reports.items():
                    for setting in _corners(report):
                        label = setting_label(report.settings[setting])
                        title = label if len(reports) == 1 else f"{method}: {label}"
                        columns.append((title, *_answer(report, name, setting, place)))
                shown.append({"kind": kind, "prompt": benchmark.prompts[place].text, "columns": columns})
    return shown


def _corners(report: "Report") -> Sequence[int]:
    """Settings with one axis at its highest value and the others at 0, and with all at their highest."""
    highest = {axis: max(setting[axis] for setting in report.settings) for axis in report.settings[0]}
    wanted = [{axis: highest[axis] * (axis == one) for axis in highest} for one in highest] + [highest]
    return list(dict.fromkeys(place for place, setting in enumerate(report.settings) if setting in wanted))


def _answer(report: "Report", benchmark: str, setting: int, place: int) -> tuple[str, str]:
    """The first run's answer, and the first judge's label for it."""
    verdict = next(iter(report.verdicts.values()))[benchmark][setting][0][place]
    return report.answers[benchmark][setting][0][place], f"{verdict.label.replace('_', ' ')}: {verdict.reason}"
