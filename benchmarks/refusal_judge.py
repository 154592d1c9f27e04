"""How well the refusal judge agrees with people, and the fit of its coefficients: the figures in docs, and its file.

    python benchmarks/refusal_judge.py --data FOLDER [--out probes/judges/refusal_judge.json]

Rows, in `refusal_judge_rows`: `answers`, what two small models wrote under sliders to prompts of AdvBench, HarmBench
(MIT), XSTest and OR-Bench (CC BY 4.0), stopped at 40 tokens and labeled by reading, without those that hold anything of
use to a wrongdoer; `examples` and `written`, imitations of many styles of answering, the latter made to be hard. FOLDER
holds `xstest_human_labels_dev.jsonl` (`prompt`, `completion`, `model`, `human_label` a line): answers of two models to
the 450 prompts of XSTest with the authors' labels.

Measured with one model, or some styles, held out, trained on all others; what is shipped is trained on all of them.
`fresh` is never trained on: imitations of a dozen kinds of models, by somebody who had not seen the others.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.preprocessing import StandardScaler, normalize

from probes.judges.features import FEATURES, features
from probes.judges.phrases import phrases
from probes.judges.refusal import Coefficients, RefusalJudge, Stage, decide
from probes.judges.verdict import RefusalLabel

LABELS: tuple[RefusalLabel, ...] = ("compliance", "partial_refusal", "refusal")
HUMAN: dict[str, RefusalLabel] = {
    "1_full_compliance": "compliance",
    "2_full_refusal": "refusal",
    "3_partial_refusal": "partial_refusal",
}
WEIGHTS = {"models": 6.0, "answers": 3.0, "examples": 3.0, "written": 0.1}
"""What a row counts. Hard imitations, a third of each label, would else teach distrust of plain answers."""
INVERSE_PENALTY = 10.0
"""`C` of the logistic regressions."""
PHRASES = 2500
"""Of each stage: those of the largest weights among all that three rows hold."""
FOLDS = 10
"""Groups of styles of `written` that are held out together."""
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
    source: str = "models"
    """The file, which says what it counts."""


def read_rows(path: Path) -> list[Row]:
    """Answers of models that people labeled."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Row(line["prompt"], line["completion"], HUMAN[line["human_label"]], line["model"]) for line in lines]


def read_own(source: str) -> list[Row]:
    """Rows of a file of ours."""
    text = (Path(__file__).with_name("refusal_judge_rows") / f"{source}.jsonl").read_text(encoding="utf-8")
    return [Row(**json.loads(line), source=source) for line in text.splitlines()]


def fit(rows: Sequence[Row]) -> Coefficients:
    """Both stages: whether an answer refuses, on all rows, and whether only partly, on those that refuse."""
    refusing = [row for row in rows if row.label != "compliance"]
    return Coefficients(
        refuses=_fit_stage(rows, [row.label != "compliance" for row in rows]),
        partly=_fit_stage(refusing, [row.label == "partial_refusal" for row in refusing]),
    )


def _fit_stage(rows: Sequence[Row], truth: Sequence[bool]) -> Stage:
    weights = np.array([WEIGHTS[row.source] for row in rows])
    names = sorted(FEATURES)
    values, said = zip(*map(_read, rows), strict=True)
    x = np.array([[value[name] for name in names] for value in values])
    scaler = StandardScaler().fit(x)
    everything = CountVectorizer(analyzer=sorted, min_df=3).fit(said)
    first = _regression(normalize(everything.transform(said)), truth, weights)
    largest = np.argsort(-np.abs(first.coef_[0]), kind="stable")[:PHRASES]
    kept = sorted(everything.get_feature_names_out()[largest])
    counted = normalize(CountVectorizer(analyzer=sorted, vocabulary=kept).transform(said))
    model = _regression(hstack([counted, csr_matrix(scaler.transform(x))]).tocsr(), truth, weights)
    of_phrases, of_features = np.split(model.coef_[0], [len(kept)])
    slopes = of_features / scaler.scale_
    return Stage(
        weights={name: round(float(slope), 4) for name, slope in zip(names, slopes, strict=True)},
        phrases={phrase: round(float(weight), 3) for phrase, weight in zip(kept, of_phrases, strict=True)},
        bias=round(float(model.intercept_[0] - slopes @ scaler.mean_), 4),
    )


@cache
def _read(row: Row) -> tuple[dict[str, float], frozenset[str]]:
    """Features and phrases: each row is in the fits of nearly all folds."""
    return features(row.prompt, row.answer), phrases(row.answer)


def _regression(x: csr_matrix, truth: Sequence[bool], weights: NDArray[np.float64]) -> LogisticRegression:
    return LogisticRegression(C=INVERSE_PENALTY, max_iter=1000).fit(x, truth, sample_weight=weights)


def probabilities(coefficients: Coefficients, rows: Sequence[Row]) -> list[dict[RefusalLabel, float]]:
    """Of the three labels, without the rules for other text."""
    return [coefficients.probabilities(*_read(row)) for row in rows]


def held_out(rows: Sequence[Row]) -> list[dict[RefusalLabel, float]]:
    """Probabilities for the rows of every model and style by a judge that was trained on others."""
    styles = {source: list(dict.fromkeys(row.style for row in rows if row.source == source)) for source in WEIGHTS}
    written = styles.pop("written")
    groups = [[style] for some in styles.values() for style in some] + [written[start::FOLDS] for start in range(FOLDS)]
    found: dict[Row, dict[RefusalLabel, float]] = {}
    for group in filter(None, groups):
        tested = [row for row in rows if row.style in group]
        trained = fit([row for row in rows if row.style not in group])
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
    rows = read_rows(data / "xstest_human_labels_dev.jsonl")
    rows += [row for source in ("answers", "examples", "written") for row in read_own(source)]
    coefficients = fit(rows)
    if out is not None:
        out.write_text(coefficients.model_dump_json(indent=1) + "\n", encoding="utf-8")
    found = held_out(rows)
    print("Confusion: a line a true label, in the order", ", ".join(LABELS), "(also of F1 each).\n")
    print("| held out | rows | refused or not | macro-F1 | F1 each | confusion |\n|---|---|---|---|---|---|")
    by_model = [row.style for row in rows if row.source in ("models", "answers")]
    groups = {style: {style} for style in dict.fromkeys(by_model)} | {"each of the models": {*by_model}}
    groups |= {
        f"styles of {name}": {row.style for row in rows if row.source == name} for name in ("examples", "written")
    }
    for name, styles in groups.items():
        some = [(row, given) for row, given in zip(rows, found, strict=True) if row.style in styles]
        print(report(name, [row for row, _ in some], [decide(given) for _, given in some]))
    fresh = read_own("fresh")
    print(report("never trained on: fresh", fresh, [decide(given) for given in probabilities(coefficients, fresh)]))
    print(report("nothing (fit to its own rows)", rows, [decide(given) for given in probabilities(coefficients, rows)]))
    for name in ("each of the models", "styles of examples"):
        some = [(row, given) for row, given in zip(rows, found, strict=True) if row.style in groups[name]]
        print(f"\nReliability, {name}, held out:\n\n{reliability(*zip(*some, strict=True))}")
    judge, start = RefusalJudge(coefficients), time.process_time()
    answers = [row for row in rows if row.source in ("models", "answers")]
    verdicts = [judge(row.prompt, row.answer) for row in answers]
    took = (time.process_time() - start) / len(answers)
    print(f"\n{1000 * took:.2f} ms of processor time a verdict.")
    for label in ("degenerate", "stall", "unsure"):
        print(f"{sum(verdict.label == label for verdict in verdicts)} of {len(answers)} answers called {label}.")


if __name__ == "__main__":
    typer.run(main)
