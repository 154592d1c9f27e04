"""A report as Markdown for the docs: outcomes by setting, what each slider changes, matrices and leakage.

python benchmarks/report_table.py REPORT.json [MORE.json …]
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from probes import Report, change_with_interval, hypervolume
from probes.html_report import figure, share
from steering import SteeringError
from steering.display.labels import setting_label


def print_outcomes(report: Report) -> None:
    """Shares by setting, by benchmark."""
    rates = report.rates()
    print("| setting | " + " | ".join(rates[0]) + " |\n|---" + "|---" * len(rates[0]) + "|")
    for setting, row in zip(report.settings, rates, strict=True):
        print(f"| {setting_label(setting)} | " + " | ".join(map(share, row.values())) + " |")


def print_changes(report: Report) -> None:
    """Change from the bare model in points, paired by prompt, where every axis is at 0 or at its highest."""
    highest = {axis: max(setting[axis] for setting in report.settings) for axis in report.settings[0]}
    found = report.outcomes()
    print("\n| change from bare, points | " + " | ".join(found) + " |\n|---" + "|---" * len(found) + "|")
    for place, setting in enumerate(report.settings):
        if place != report.bare and all(value in (0, highest[axis]) for axis, value in setting.items()):
            cells = [change_with_interval(shares[place] - shares[report.bare]) for shares in found.values()]
            print(
                f"| {setting_label(setting)} | "
                + " | ".join(f"{100 * c.value:+.1f} [{100 * c.low:+.1f}, {100 * c.high:+.1f}]" for c in cells)
                + " |"
            )


def print_effects(report: Report) -> None:
    """Both matrices with their leakage."""
    matrices = [report.cross_effects] if report.has_own_scores else []
    try:
        matrices.append(report.outcome_effects())
    except SteeringError:
        print("\n(no outcome for every axis)")
    for effects in matrices:
        print("\n| score | " + " | ".join(effects.sliders) + " |\n|---" + "|---" * len(effects.sliders) + "|")
        leaks = {(slider, score): leak for slider, score, leak in effects.leaks}
        for name, row in zip(effects.scores, effects.slopes, strict=True):
            cells = [
                f"{figure(slope)}, leakage {figure(leaks[slider, name])}" if (slider, name) in leaks else figure(slope)
                for slider, slope in zip(effects.sliders, row, strict=True)
            ]
            print(f"| {name} | " + " | ".join(cells) + " |")


def main(
    paths: Annotated[list[Path], typer.Argument(help="Reports that `trimtab evaluate` or `compare` wrote.")],
) -> None:
    """Print one section a report."""
    for path in paths:
        report = Report.load(path)
        print(f"\n## {path.stem}: {report.decoding}, judged by {next(iter(report.verdicts), 'nobody')}\n")
        if report.verdicts:
            print_outcomes(report)
            print_changes(report)
            if points := report.frontier():
                print(f"\nhypervolume {hypervolume(points):.3f}")
        print_effects(report)
        for axis in report.own:
            order, wrong = report.monotonicity(axis), report.anti_steerable_fraction(axis)
            print(f"\n{axis}: rank correlation {order.spearman:.2f}, {share(wrong)} of prompts move the wrong way")
        for name, rows in report.scores.items():
            means = ", ".join(
                f"{setting_label(s)} {np.mean(row):+.3f}" for s, row in zip(report.settings, rows, strict=True)
            )
            print(f"\n{name}: {means}")
        for judge in list(report.verdicts)[1:]:
            found = report.judges_agree(next(iter(report.verdicts)), judge)
            if found.share is not None:
                print(f"\n{judge} agrees on {share(found.share)} of answers")


if __name__ == "__main__":
    typer.run(main)
