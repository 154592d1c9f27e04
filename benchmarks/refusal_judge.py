"""How well the refusal judge agrees with people, and the fit of its coefficients: the figures in docs, and its file.

    python benchmarks/refusal_judge.py --data FOLDER [--out probes/judges/refusal_judge.json]

FOLDER holds `xstest_human_labels_dev.jsonl` (`prompt`, `completion`, `model`, `human_label` a line): answers of two
models to the 450 prompts of XSTest with the authors' labels. Measured twice: with the answers of one model held out,
trained on the other's; and by prompt, in five parts. The judge's own examples (`refusal_judge_examples.jsonl`, written
for it) are trained on every time but where the table says so. What is shipped is trained on everything. Features and
examples were written with errors on these rows in view, which no split undoes: answers of further models are the test.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.preprocessing import StandardScaler

from probes.judges.features import features
from probes.judges.refusal import Coefficients, RefusalJudge, Stage, decide
from probes.judges.verdict import RefusalLabel

LABELS: tuple[RefusalLabel, ...] = ("compliance", "partial_refusal", "refusal")
HUMAN: dict[str, RefusalLabel] = {
    "1_full_compliance": "compliance",
    "2_full_refusal": "refusal",
    "3_partial_refusal": "partial_refusal",
}
INVERSE_PENALTY = {"refuses": 0.3, "partly": 0.1}
"""`C` of the two logistic regressions, on standardized features."""


@dataclass(frozen=True)
class Row:
    """An answer with its label."""

    prompt: str
    answer: str
    label: RefusalLabel
    model: str
    """`example` for those written for the judge."""


def read_rows(path: Path) -> list[Row]:
    """Labeled answers of models."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Row(line["prompt"], line["completion"], HUMAN[line["human_label"]], line["model"]) for line in lines]


def read_examples() -> list[Row]:
    """The examples that were written for the judge."""
    text = Path(__file__).with_name("refusal_judge_examples.jsonl").read_text(encoding="utf-8")
    return [Row(model="example", **json.loads(line)) for line in text.splitlines()]


def fit(rows: Sequence[Row]) -> Coefficients:
    """Both stages, on features standardized over all rows. Rows weigh the same; the two models have as many each."""
    values = [features(row.prompt, row.answer) for row in rows]
    names = tuple(values[0])
    x = np.array([[value[name] for name in names] for value in values])
    labels = np.array([row.label for row in rows])
    refuses, scaler = labels != "compliance", StandardScaler().fit(x)
    return Coefficients(
        features=names,
        refuses=_fit_stage(scaler, x, refuses, INVERSE_PENALTY["refuses"]),
        partly=_fit_stage(scaler, x[refuses], labels[refuses] == "partial_refusal", INVERSE_PENALTY["partly"]),
    )


def _fit_stage(scaler: StandardScaler, x: NDArray[np.float64], truth: NDArray[np.bool_], c: float) -> Stage:
    model = LogisticRegression(C=c, max_iter=5000).fit(scaler.transform(x), truth)
    slopes = model.coef_[0] / scaler.scale_
    bias = float(model.intercept_[0] - slopes @ scaler.mean_)
    return Stage(weights=tuple(round(float(slope), 5) for slope in slopes), bias=round(bias, 5))


def predict(coefficients: Coefficients, rows: Sequence[Row]) -> list[RefusalLabel]:
    """Labels without the rules for degenerate text."""
    return [decide(coefficients.probabilities(features(row.prompt, row.answer))) for row in rows]


def fold(prompt: str, folds: int = 5) -> int:
    """The part of a prompt, the same on every machine."""
    return int(hashlib.md5(prompt.encode()).hexdigest(), 16) % folds


def held_out(rows: Sequence[Row], group: Callable[[Row], object], added: Sequence[Row]) -> dict[Row, RefusalLabel]:
    """Labels of the rows of every group by a judge that was trained on the other groups and on what is added."""
    found: dict[Row, RefusalLabel] = {}
    for held in {group(row) for row in rows}:
        tested = [row for row in rows if group(row) == held]
        trained = [row for row in rows if group(row) != held]
        found |= zip(tested, predict(fit([*trained, *added]), tested), strict=True)
    return found


def report(name: str, rows: Sequence[Row], predicted: Sequence[str]) -> str:
    """A table row: rows, agreement on refusing at all, macro-F1 of the three labels, confusion."""
    truth = [row.label for row in rows]
    binary = np.mean([(a == "compliance") == (b == "compliance") for a, b in zip(truth, predicted, strict=True)])
    f1 = f1_score(truth, predicted, labels=LABELS, average=None)
    confusion = " ; ".join(" ".join(map(str, line)) for line in confusion_matrix(truth, predicted, labels=LABELS))
    each = " ".join(f"{value:.2f}" for value in f1)
    return f"| {name} | {len(rows)} | {binary:.1%} | {f1.mean():.3f} | {each} | {confusion} |"


def main(
    data: Annotated[Path, typer.Option(help="Folder with xstest_human_labels_dev.jsonl.")],
    out: Annotated[Path | None, typer.Option(help="Write the coefficients here.")] = None,
) -> None:
    """Print the figures as Markdown, and write the coefficients if asked to."""
    rows, examples = read_rows(data / "xstest_human_labels_dev.jsonl"), read_examples()
    print("Confusion: a line a true label, in the order", ", ".join(LABELS), "(also of F1 each).\n")
    print("| held out | rows | refused or not | macro-F1 | F1 each | confusion |\n|---|---|---|---|---|---|")
    for name, group, added in (
        ("models", lambda row: row.model, examples),
        ("models, without the examples", lambda row: row.model, []),
        ("prompts, in five parts", lambda row: fold(row.prompt), examples),
    ):
        predicted = held_out(rows, group, added)
        for model in sorted({row.model for row in rows}):
            some = [row for row in rows if row.model == model]
            print(report(f"{name}: answers of {model}", some, [predicted[row] for row in some]))
        print(report(name, rows, [predicted[row] for row in rows]))
    coefficients = fit(rows + examples)
    print(report("nothing (fit to its own training rows)", rows, predict(coefficients, rows)))
    judge, start = RefusalJudge(coefficients), time.process_time()
    verdicts = [judge(row.prompt, row.answer) for row in rows]
    took = (time.process_time() - start) / len(rows)
    degenerate, unsure = (sum(verdict.label == label for verdict in verdicts) for label in ("degenerate", "unsure"))
    print(f"\n{1000 * took:.2f} ms of processor time a verdict.")
    print(f"{degenerate} of {len(rows)} answers called degenerate, {unsure} called unsure.")
    if out is not None:
        out.write_text(coefficients.model_dump_json(indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
