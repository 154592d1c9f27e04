"""The reports of one `trimtab compare` as a Markdown table: every method at its settings, the largest frontier first.

python benchmarks/comparison_table.py FOLDER/*.json
"""

from pathlib import Path
from typing import Annotated

import typer

from probes import Report, hypervolume
from probes.html_report import share
from steering.display.labels import setting_label


def main(paths: Annotated[list[Path], typer.Argument(help="Reports of the same prompts.")]) -> None:
    """Print the bare model once, then a row a setting; the hypervolume stands in a method's last row."""
    reports = {path.stem: Report.load(path) for path in paths}
    areas = {name: hypervolume(report.frontier()) for name, report in reports.items()}
    first = next(iter(reports.values()))
    bare = first.rates()[first.bare]
    columns = ["method", "setting", *bare, "hypervolume"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    print("| bare | | " + " | ".join(map(share, bare.values())) + " | |")
    for name in sorted(reports, key=lambda name: -areas[name]):
        report, rates = reports[name], reports[name].rates()
        steered = [place for place in range(len(rates)) if place != report.bare]
        for place in steered:
            area = f"{areas[name]:.3f}" if place == steered[-1] else ""
            cells = [name, setting_label(report.settings[place]), *map(share, rates[place].values()), area]
            print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    typer.run(main)
