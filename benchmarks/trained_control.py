"""The seed paper's fine-tuned control beside sliders, prompting and reranking: requested against achieved.

    python benchmarks/trained_control.py --model MODEL --data FOLDER --out trained

Data, training, evaluation: the model's own answers to prompts of FOLDER (shared/data), scored by probes of answers'
states; control tokens by CLM and by ExMATE; then every method at the same requested values on other prompts, judged by
`RefusalJudge`, which scored nothing before. What is done already is taken from `--out`.
"""

from pathlib import Path
from typing import Annotated, get_args

import typer
from scipy.stats import spearmanr

from probes import (
    BestOfN,
    ControlData,
    ControlTokens,
    Decoding,
    Method,
    Prompting,
    Report,
    Training,
    builtin_benchmark,
    compare,
    fit_probe,
    probe_scorer,
    self_generated,
    share_with_interval,
    train_control_tokens,
    write_html,
)
from probes.html_report import share
from probes.prompt_files import read_prompts
from probes.report import OWN_OUTCOMES
from probes.trained.training import Loss
from steering import ContrastSet, Sliders, load

SCORER_SETS = {"safety": "safety-response", "helpfulness": "helpfulness"}
TEACHING = ("harmful_train", "or_bench_hard_dev", "harmless_train")
"""Files of prompts that answers are sampled to; the built-in benchmark reports."""


def main(
    data: Annotated[Path, typer.Option(help="Folder with the files of prompts.")],
    out: Annotated[Path, typer.Option(help="Folder for data, adapters, reports and the page.")],
    model: Annotated[str, typer.Option()] = "smollm2-135m-instruct",
    dtype: Annotated[str, typer.Option()] = "float32",
    per_file: Annotated[int, typer.Option(help="Prompts of a file.")] = 40,
    samples: Annotated[int, typer.Option(help="Answers to each.")] = 4,
    epochs: Annotated[int, typer.Option()] = 3,
    prompts: Annotated[int, typer.Option(help="Prompts of each kind to report on.")] = 24,
    max_new_tokens: Annotated[int, typer.Option()] = 40,
) -> None:
    """Make the data, train, evaluate, print."""
    lm = load(model, dtype=dtype)
    out.mkdir(parents=True, exist_ok=True)
    decoding = Decoding(max_new_tokens=max_new_tokens)
    probes = {axis: fit_probe(lm, ContrastSet.builtin(name)) for axis, name in SCORER_SETS.items()}
    scorers = {axis: probe_scorer(lm, probe) for axis, probe in probes.items()}
    if not (out / "data.json").exists():
        asked = [prompt for name in TEACHING for prompt in read_prompts(data / f"{name}.jsonl")[:per_file]]
        made = self_generated(lm, asked, scorers, "probes of answers' states", n=samples, decoding=decoding)
        made.save(out / "data.json")
    methods: dict[str, Sliders | Method] = {
        "sliders": Sliders.balanced(lm),
        "prompting": Prompting(),
        "best of 4": BestOfN(scorers, "probes of answers' states"),
    }
    for loss in get_args(Loss):
        if not (out / loss).exists():
            training = Training(loss=loss, epochs=epochs)
            record = train_control_tokens(lm, ControlData.load(out / "data.json"), out / loss, training)
            print(f"{loss}: mean loss of epochs {', '.join(f'{value:.3f}' for value in record.losses)}")
        methods[f"control tokens, {loss}"] = ControlTokens(out / loss)
    benchmark = builtin_benchmark(prompts)
    reports = compare(lm, methods, [0, 0.5, 1], [benchmark], decoding=decoding, folder=out / "cells")
    write_html(reports, out / "index.html")
    for name, report in reports.items():
        report.save(out / f"{name}.json")
    print_table(reports)


def print_table(reports: dict[str, Report]) -> None:
    """The share that each axis is about at every value requested, all others at 0, and whether they rise together."""
    values = [0.0, 0.5, 1.0]
    print("| method | axis | " + " | ".join(f"requested {value:g}" for value in values) + " | rank correlation |")
    print("|---" * (len(values) + 3) + "|")
    for name, report in reports.items():
        found = report.outcomes()
        for axis, outcome in OWN_OUTCOMES.items():
            settings = [{other: value if other == axis else 0.0 for other in report.axes} for value in values]
            rows = [found[outcome][report.settings.index(setting)] for setting in settings]
            requested = [value for value, row in zip(values, rows, strict=True) for _ in row]
            achieved = [share for row in rows for share in row]
            constant = len(set(achieved)) == 1
            together = "none" if constant else f"{spearmanr(requested, achieved).statistic:+.2f}"
            shares = " | ".join(share(share_with_interval(row)) for row in rows)
            print(f"| {name} | {axis}: {outcome} | {shares} | {together} |")


if __name__ == "__main__":
    typer.run(main)
