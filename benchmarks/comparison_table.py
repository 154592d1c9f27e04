"""The reports of one `trimtab compare` as one Markdown table: what every method does at its settings, and its frontier.

python benchmarks/comparison_table.py FOLDER/*.json
"""

from pathlib import Path
from typing import Annotated

import typer

from probes.frontier import hypervolume
from probes.html_report import share
from probes.report import Report, setting_label


def main(paths: Annotated[list[Path], typer.Argument(help="Reports, the one with most settings first.")]) -> None:
    """Print the bare model once, then a row a setting; the hypervolume stands in a method's last row."""
    for number, path in enumerate(paths):
        report = Report.load(path)
        rates = report.rates()
        if number == 0:
            columns = ["method", "setting", *rates[0], "hypervolume"]
            print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
            print("| bare | | " + " | ".join(map(share, rates[report.bare].values())) + " | |")
        steered = [place for place in range(len(rates)) if place != report.bare]
        for place in steered:
            area = f"{hypervolume(report.frontier()):.3f}" if place == steered[-1] else ""
            cells = [path.stem, setting_label(report.settings[place]), *map(share, rates[place].values()), area]
            print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    typer.run(main)
