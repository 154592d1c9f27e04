"""One self-contained HTML page of one report, or of several methods side by side."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from probes import report_plots
from probes.frontier import hypervolume
from probes.intervals import Estimate
from probes.robustness import defence_changes, defence_rates
from probes.slider_effects import CrossEffects
from steering.atomic_write import atomic_write
from steering.display.html import paragraph, table
from steering.display.labels import setting_label
from steering.display.plots import as_image, layer_profile
from steering.errors import SteeringError

if TYPE_CHECKING:
    from probes.report import Report

EXAMPLES = 3
"""Prompts of a kind whose answers are shown."""


def write_html(reports: "Mapping[str, Report]", path: str | Path) -> None:
    """Write the page, whole or not at all; it loads nothing from anywhere.

    Args:
        reports: by the method's name; all of one model.
        path: the file to create or to replace.

    Raises:
        SteeringError: for no report, or reports of different models.
    """
    models = {report.model.model_dump_json(): report.model.name for report in reports.values()}
    if not models:
        raise SteeringError("Expected at least one report, found none.")
    if len(models) > 1:
        raise SteeringError(f"Expected reports of one model, found {', '.join(map(repr, models.values()))}.")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    for shown in (share, figure, setting_label, matrices, dose_response, sample_size, robustness, change):
        environment.filters[shown.__name__] = shown
    template = environment.from_string((resources.files("probes") / "report.html.jinja").read_text(encoding="utf-8"))
    frontiers = {name: points for name, report in reports.items() if (points := report.frontier())}
    profiles = {
        axis if len(reports) == 1 else f"{name}: {axis}": figures
        for name, report in reports.items()
        for axis, slider in report.sliders.items()
        if (figures := slider.figures())
    }
    page = template.render(
        reports=reports,
        first=next(iter(reports.values())),
        frontier=report_plots.frontier(frontiers) if frontiers else "",
        hypervolumes={name: hypervolume(points) for name, points in frontiers.items()},
        examples=_examples(reports),
        profile=layer_profile(profiles),
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def summary_html(report: "Report") -> str:
    """What a notebook shows of a report: its cross-effect matrices, else the rates of answers by setting."""
    shown = [
        paragraph(f"{matrix.title}, {matrix.unit}:", "") + as_image(matrix.plot, _spoken(matrix.effects))
        for matrix in matrices(report)
    ]
    if report.verdicts and not shown:
        rates = report.rates()
        rows = zip(map(setting_label, report.settings), rates, strict=True)
        shown.append(table(["setting", *rates[0]], [[label, *map(share, row.values())] for label, row in rows]))
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


def share(estimate: Estimate) -> str:
    """`47 % [38, 56]`, or `0 % [no spread]` for a mean of samples that are all the same."""
    spread = "no spread" if estimate.low == estimate.high else f"{100 * estimate.low:.0f}, {100 * estimate.high:.0f}"
    return f"{estimate.value:.0%} [{spread}]".replace("%", " %")


def figure(estimate: Estimate | None) -> str:
    """`+0.12 [-0.03, +0.20]`, or that there is none."""
    return "not measurable at this size" if estimate is None else str(estimate)


def change(estimate: Estimate) -> str:
    """`+12 [+5, +19]`, in points."""
    value, low, high = (f"{100 * number + 0.0:+.0f}" for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def robustness(report: "Report") -> dict[str, list[tuple[Estimate, Estimate | None]]]:
    """By attack, its rate under every setting, and its change from bare under all others; empty without attacks."""
    attacks = report.attacks()
    if not attacks or not report.verdicts:
        return {}
    rates = [defence_rates(attacks, place) for place in range(len(report.settings))]
    changes = [defence_changes(attacks, place, report.bare) for place in range(len(report.settings))]
    return {
        name: [
            (rate[name], None if place == report.bare else moved[name])
            for place, (rate, moved) in enumerate(zip(rates, changes, strict=True))
        ]
        for name in rates[0]
    }


def sample_size(report: "Report") -> str:
    """How many prompts a claim within 3 points would need, as a sentence."""
    needed = (f"{count:,} for {name!r}" for name, count in report.prompts_needed().items())
    return (
        "To tell a change from bare within ±3 points, at the setting where most prompts change and with as many "
        f"changing as here, takes these numbers of prompts, each asked bare and steered: {', '.join(needed)}."
    )


class Matrix(NamedTuple):
    """Cross-effects as they are shown."""

    title: str
    unit: str
    effects: CrossEffects

    @property
    def plot(self) -> str:
        """SVG."""
        return report_plots.effect_matrix(self.effects, self.unit)


def matrices(report: "Report") -> list[Matrix]:
    """Those of scores, and of outcomes, as far as the report has them for every axis."""
    found = []
    if report.has_own_scores:
        found.append(Matrix("Scores without generation", "bare standard deviations a unit", report.cross_effects))
    with suppress(SteeringError):  # not every axis has an outcome, and not every report has answers
        found.append(Matrix("Outcomes of answers", "share of prompts a unit", report.outcome_effects()))
    return found


def dose_response(report: "Report") -> str:
    """SVG of every score along every axis."""
    axes = report.settings[0]
    return report_plots.dose_response(
        {axis: {name: report.along(axis, name) for name in report.scores} for axis in axes}
    )


def _examples(reports: "Mapping[str, Report]") -> list[dict[str, Any]]:
    """A few prompts of every kind, with the bare answer and those where all axes stand at their ends."""
    first = next(iter(reports.values()))
    shown = {"bare": (first, first.bare)}
    for method, report in reports.items():
        for setting in _corners(report):
            label = setting_label(report.settings[setting])
            shown[label if len(reports) == 1 else f"{method}: {label}"] = report, setting
    examples = []
    for name, benchmark in first.benchmarks.items():
        for kind in dict.fromkeys(prompt.kind for prompt in benchmark.prompts):
            places = [place for place, prompt in enumerate(benchmark.prompts) if prompt.kind == kind]
            for place in places[:EXAMPLES]:
                columns = [(title, *_answer(*where, name, place)) for title, where in shown.items()]
                examples.append({"kind": kind, "prompt": benchmark.prompts[place].text, "columns": columns})
    return examples


def _corners(report: "Report") -> Sequence[int]:
    """Settings with one axis at its highest value and the others at 0, and with all at their highest."""
    highest = {axis: max(setting[axis] for setting in report.settings) for axis in report.settings[0]}
    wanted = [{axis: highest[axis] * (axis == one) for axis in highest} for one in highest] + [highest]
    return list(dict.fromkeys(place for place, setting in enumerate(report.settings) if setting in wanted))


def _answer(report: "Report", setting: int, benchmark: str, place: int) -> tuple[str, str]:
    """The first run's answer, and the first judge's label for it."""
    verdict = next(iter(report.verdicts.values()))[benchmark][setting][0][place]
    return report.answers[benchmark][setting][0][place], f"{verdict.label.replace('_', ' ')}: {verdict.reason}"
