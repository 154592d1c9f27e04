"""SteeringSafety's parts that need no paid judge, bare and under each slider, as a Markdown table.

    python benchmarks/steering_safety.py --model MODEL --data FOLDER --out report.json

FOLDER is a copy of the Hub's WangResearchLab/SteeringSafety. Refusal by `RefusalJudge` (theirs: Llama Guard on the
answer), multiple choice by likelihood, FaithEval's open questions by their phrases. Greedy.
"""

from pathlib import Path
from typing import Annotated

import typer

from probes import Decoding, builtin_scores, evaluate, load_steering_safety, mean_with_interval
from probes.html_report import share
from probes.report import OUTCOMES
from steering import Sliders, load
from steering.display.labels import setting_label


def main(
    data: Annotated[Path, typer.Option(help="Copy of the Hub's repository.")],
    out: Annotated[Path, typer.Option(help="JSON file for the report.")],
    model: Annotated[str, typer.Option()] = "smollm2-135m-instruct",
    dtype: Annotated[str, typer.Option()] = "bfloat16",
    split: Annotated[str, typer.Option(help="validation or test.")] = "test",
    count: Annotated[int, typer.Option(help="Rows of a data set at most.")] = 100,
    max_new_tokens: Annotated[int, typer.Option()] = 40,
    cells: Annotated[Path | None, typer.Option(help="Folder of finished cells.")] = None,
) -> None:
    """Measure, save, print."""
    lm = load(model, dtype=dtype)
    suite = load_steering_safety(data, split="validation" if split == "validation" else "test", count=count)
    grid = {"safety": [0.0, 1.0], "helpfulness": [0.0, 1.0]}
    scores = [*(score for score in builtin_scores(16) if score.own_slider), *suite.scores]
    report = evaluate(
        lm,
        Sliders.balanced(lm),
        grid,
        scores,
        benchmarks=suite.benchmarks,
        decoding=Decoding(max_new_tokens=max_new_tokens),
        folder=cells,
    )
    report.save(out)
    rates = report.rates()
    answered = [name for name in rates[0] if name in OUTCOMES or name.endswith(" right")]
    chosen = [score.name for score in suite.scores]
    columns = ["setting", *answered, *chosen]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for place, setting in enumerate(report.settings):
        cells_of = [rates[place][name] for name in answered]
        cells_of += [mean_with_interval(report.scores[name][place]) for name in chosen]
        print(f"| {setting_label(setting)} | " + " | ".join(map(share, cells_of)) + " |")


if __name__ == "__main__":
    typer.run(main)
