"""How well the refusal judge agrees with people, and the fit of its coefficients: the figures in docs, and its file.

    python benchmarks/refusal_judge.py --data FOLDER [--out probes/judges/refusal_judge.json]

FOLDER holds `xstest_human_labels_dev.jsonl` (`prompt`, `completion`, `model`, `human_label` a line): answers of two
models to the 450 prompts of XSTest with the authors' labels. The judge's own examples (`refusal_judge_examples.jsonl`)
were written for it in many styles of answering. Measured with the answers of one model or of one style held out,
trained on all others; what is shipped is trained on all of them. Acts, features and most examples were written with
errors on these rows in view, which no split undoes. So `refusal_judge_fresh.jsonl`, in styles of its own, was written
after all of that and is never trained on; answers of further models are the test.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
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
# Chosen forwards, then backwards, by the likelihood of held-out styles.
OF_REFUSES = [
    "decline_early",
    "declined_help",
    "declined_harm",
    "declined_covered",
    "declined_creation",
    "moral_first",
    "preach_share",
    "begins",
    "defined",
    "about_preach",
    "uninstructed",
    "how_told",
    "harm_uninstructed",
    "harm_plain_first",
    "harmless_unrefused",
    "loaded",
    "nonsense",
    "nonsense_corrected",
    "nonsense_objected",
    "nonsense_preach",
    "nonsense_declined",
    "private_lack",
    "private_unreal",
    "private_unreal_declined",
]
OF_PARTLY = [
    "preach_share",
    "rights_share",
    "lecture_share",
    "wording",
    "lack_early",
    "declined_harm",
    "instructs",
    "told_share",
    "declined_told",
    "about",
    "harm_told",
    "harm_uninstructed",
    "loaded",
    "nonsense_corrected",
    "private_lack",
    "private_lack_ai",
    "private_unreal",
]
INVERSE_PENALTY = {"refuses": 0.5, "partly": 0.3}
"""`C` of the two logistic regressions, on standardized features."""
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Edges of the scores that the table of reliability puts together."""


@dataclass(frozen=True)
class Row:
    """An answer with its label."""

    prompt: str
    answer: str
    label: RefusalLabel
    style: str
    """A model's name for answers of models."""


def read_rows(path: Path) -> list[Row]:
    """Labeled answers of models."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Row(line["prompt"], line["completion"], HUMAN[line["human_label"]], line["model"]) for line in lines]


def read_examples(name: str = "examples") -> list[Row]:
    """The examples that were written for the judge, or those that are `fresh` to it."""
    text = Path(__file__).with_name(f"refusal_judge_{name}.jsonl").read_text(encoding="utf-8")
    return [Row(**json.loads(line)) for line in text.splitlines()]


def fit(rows: Sequence[Row]) -> Coefficients:
    """Both stages, each on its own features. Rows weigh the same; the two models have as many each."""
    values = [features(row.prompt, row.answer) for row in rows]
    labels = np.array([row.label for row in rows])
    refuses = labels != "compliance"
    refusing = [value for value, does in zip(values, refuses, strict=True) if does]
    return Coefficients(
        refuses=_fit_stage(OF_REFUSES, values, refuses, INVERSE_PENALTY["refuses"]),
        partly=_fit_stage(OF_PARTLY, refusing, labels[refuses] == "partial_refusal", INVERSE_PENALTY["partly"]),
    )


def _fit_stage(names: Sequence[str], values: Sequence[dict[str, float]], truth: NDArray[np.bool_], c: float) -> Stage:
    x = np.array([[value[name] for name in names] for value in values])
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=c, max_iter=5000).fit(scaler.transform(x), truth)
    slopes = model.coef_[0] / scaler.scale_
    weights = {name: round(float(slope), 4) for name, slope in zip(names, slopes, strict=True)}
    return Stage(weights=weights, bias=round(float(model.intercept_[0] - slopes @ scaler.mean_), 4))


def probabilities(coefficients: Coefficients, rows: Sequence[Row]) -> list[dict[RefusalLabel, float]]:
    """Of the three labels, without the rules for other text."""
    return [coefficients.probabilities(features(row.prompt, row.answer)) for row in rows]


def held_out(rows: Sequence[Row]) -> list[dict[RefusalLabel, float]]:
    """Probabilities for the rows of every style by a judge that was trained on all other styles."""
    found: dict[Row, dict[RefusalLabel, float]] = {}
    for style in {row.style for row in rows}:
        tested = [row for row in rows if row.style == style]
        trained = fit([row for row in rows if row.style != style])
        found |= zip(tested, probabilities(trained, tested), strict=True)
    return [found[row] for row in rows]


def report(name: str, rows: Sequence[Row], predicted: Sequence[str]) -> str:
    """A table row: rows, agreement on refusing at all, macro-F1 of the three labels, F1 each, confusion."""
    truth = [row.label for row in rows]
    binary = np.mean([(a == "compliance") == (b == "compliance") for a, b in zip(truth, predicted, strict=True)])
    f1 = f1_score(truth, predicted, labels=LABELS, average=None)
    confusion = " ; ".join(" ".join(map(str, line)) for line in confusion_matrix(truth, predicted, labels=LABELS))
    each = " ".join(f"{value:.2f}" for value in f1)
    return f"| {name} | {len(rows)} | {binary:.1%} | {f1.mean():.2f} | {each} | {confusion} |"


def reliability(rows: Sequence[Row], found: Sequence[dict[RefusalLabel, float]]) -> str:
    """How often the label is right by its score, and the expected calibration error: the mean gap between both."""
    scores = np.array([given[decide(given)] for given in found])
    right = np.array([decide(given) == row.label for row, given in zip(rows, found, strict=True)])
    lines, error = ["| score | answers | mean score | right |", "|---|---|---|---|"], 0.0
    for low, high in pairwise(BINS):
        inside = (scores > low) & (scores <= high)
        if inside.any():
            score, share = scores[inside].mean(), right[inside].mean()
            error += inside.mean() * abs(score - share)
            lines.append(f"| {low:.1f} to {high:.1f} | {inside.sum()} | {score:.2f} | {share:.2f} |")
    return "\n".join([*lines, f"\nExpected calibration error: {error:.3f}."])


def main(
    data: Annotated[Path, typer.Option(help="Folder with xstest_human_labels_dev.jsonl.")],
    out: Annotated[Path | None, typer.Option(help="Write the coefficients here.")] = None,
) -> None:
    """Print the figures as Markdown, and write the coefficients if asked to."""
    models, examples, fresh = read_rows(data / "xstest_human_labels_dev.jsonl"), read_examples(), read_examples("fresh")
    rows = models + examples
    names = {row.style for row in models}
    found = held_out(rows)
    predicted = {row: decide(given) for row, given in zip(rows, found, strict=True)}
    print("Confusion: a line a true label, in the order", ", ".join(LABELS), "(also of F1 each).\n")
    print("| held out | rows | refused or not | macro-F1 | F1 each | confusion |\n|---|---|---|---|---|---|")
    for style in dict.fromkeys(row.style for row in rows):
        some = [row for row in rows if row.style == style]
        print(report(style, some, [predicted[row] for row in some]))
    for name, some in (
        ("each of both models", models),
        ("each style of our own", examples),
        ("all", rows),
    ):
        print(report(name, some, [predicted[row] for row in some]))
    coefficients = fit(rows)
    fresh_found = probabilities(coefficients, fresh)
    print(report("never trained on: fresh styles", fresh, [decide(given) for given in fresh_found]))
    print(report("nothing (fit to its own rows)", rows, [decide(given) for given in probabilities(coefficients, rows)]))
    for name, some in (("both models", names), ("our own styles", {row.style for row in examples})):
        inside = [(row, given) for row, given in zip(rows, found, strict=True) if row.style in some]
        print(f"\nReliability, {name}, each held out:\n\n{reliability(*zip(*inside, strict=True))}")
    judge, start = RefusalJudge(coefficients), time.process_time()
    verdicts = [judge(row.prompt, row.answer) for row in models]
    took = (time.process_time() - start) / len(models)
    print(f"\n{1000 * took:.2f} ms of processor time a verdict.")
    for label in ("degenerate", "unsure"):
        print(f"{sum(verdict.label == label for verdict in verdicts)} of {len(models)} answers called {label}.")
    if out is not None:
        out.write_text(coefficients.model_dump_json(indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
