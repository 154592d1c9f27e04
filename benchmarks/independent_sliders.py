"""What the independent pair does on prompts that taught it nothing: outcomes, dose, and the gate beside true labels.

    python benchmarks/halves.py --data FOLDER --out halves
    python benchmarks/independent_sliders.py --model MODEL --vectors FOLDER --halves halves/report --out figures.json

Greedy answers, judged by `RefusalJudge`, which no slider was tuned by. Intervals are 95 % intervals over
prompts, paired with the bare model's answers. Answers that `--out` holds already are judged anew, not written again.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from probes import RefusalJudge, load_benchmark
from probes.intervals import change_with_interval, mean_with_interval
from probes.judges.verdict import REFUSED
from steering import ContrastSet, LanguageModel, Slider, Sliders, load, preference_margin, sweep

DOSE = (0.25, 0.5, 0.75, 1.0)
SETTINGS: dict[str, dict[str, float]] = {
    "bare": {},
    **{f"safety {value:g}": {"safety": value} for value in DOSE},
    **{f"helpfulness {value:g}": {"helpfulness": value} for value in (-1.0, *DOSE)},
    "both 1": {"safety": 1.0, "helpfulness": 1.0},
}
EVERYWHERE = ("bare", "safety 1", "helpfulness -1", "helpfulness 1", "both 1")
"""Settings that all kinds of prompts are answered under; the values between only by those that a slider acts on."""
GRADED = {"harmful": "safety", "look-alike": "helpfulness", "ordinary": "none"}
LABELS = "both 1, labels"
"""The gate told by the prompts' labels: then each slider acts on its own prompts alone."""
FILES = {"advbench": 48, "harmbench": 22, "xstest": 48, "or-bench-hard": 48, "alpaca-eval": 48}
OUTCOMES = {"harmful": "harmful refused", "look-alike": "look-alikes answered", "ordinary": "ordinary answered"}
Table = dict[str, dict[str, list[str]]]
"""Verdicts, or answers, by setting and kind."""


def main(
    model: Annotated[str, typer.Option()],
    halves: Annotated[Path, typer.Option(help="The report half that halves.py wrote.")],
    out: Annotated[Path, typer.Option(help="JSON file for verdicts and answers.")],
    vectors: Annotated[Path | None, typer.Option(help="Folder of the pair; shipped or made without it.")] = None,
    dtype: Annotated[str, typer.Option()] = "float32",
    max_new_tokens: Annotated[int, typer.Option()] = 40,
    per_file: Annotated[int, typer.Option(help="Prompts of a file at most.")] = 48,
) -> None:
    """Answer, judge, print the tables."""
    if out.exists():
        content = json.loads(out.read_text(encoding="utf-8"))
        found = (Path(content["model"]).name, content["dtype"], content["max_new_tokens"])
        if found != (Path(model).name, dtype, max_new_tokens):
            raise typer.BadParameter(f"{str(out)!r} holds answers of {found}; name another file.")
    else:
        lm = load(model, dtype=dtype)
        files = {name: vectors / f"{name}.safetensors" for name in ("safety", "helpfulness")} if vectors else {}
        sliders = (
            Sliders(**{name: Slider.load(file, lm) for name, file in files.items()}) if files else Sliders.balanced(lm)
        )
        prompts = _prompts(halves, per_file)
        content = {"model": lm.identity.name, "dtype": dtype, "max_new_tokens": max_new_tokens, "prompts": prompts}
        content["answers"] = _answers(lm, sliders, prompts, max_new_tokens)
        content["margins"] = _margins(lm, sliders)
    content["verdicts"] = _judged(content["prompts"], content["answers"])
    out.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    _print(content["verdicts"], content["margins"])


def _prompts(halves: Path, per_file: int) -> dict[str, list[str]]:
    """By kind."""
    prompts: dict[str, list[str]] = {kind: [] for kind in OUTCOMES}
    for name, count in FILES.items():
        loaded = load_benchmark(name, halves / f"{name}.jsonl").spread(min(count, per_file))
        for prompt in loaded.prompts:
            prompts[prompt.kind].append(prompt.text)
    return prompts


def _answers(lm: LanguageModel, sliders: Sliders, prompts: Mapping[str, list[str]], max_new_tokens: int) -> Table:
    answers: Table = {}
    for kind, texts in prompts.items():
        asked = [name for name in SETTINGS if name in EVERYWHERE or name.startswith(GRADED[kind])]
        found = sweep(lm, sliders, texts, [SETTINGS[name] for name in asked], max_new_tokens=max_new_tokens)
        labels = [float(kind == "harmful")] * len(texts)
        told = sweep(lm, sliders, texts, [SETTINGS["both 1"]], max_new_tokens=max_new_tokens, harm=labels)
        for column, setting in enumerate([*asked, LABELS]):
            answers.setdefault(setting, {})[kind] = [[*one, *two][column] for one, two in zip(found, told, strict=True)]
    return answers


def _judged(prompts: Mapping[str, list[str]], answers: Table) -> Table:
    judge = RefusalJudge()
    return {
        setting: {
            kind: [judge(text, row).label for text, row in zip(prompts[kind], rows, strict=True)]
            for kind, rows in kinds.items()
        }
        for setting, kinds in answers.items()
    }


def _margins(lm: LanguageModel, sliders: Sliders) -> dict[str, list[float]]:
    """Engaged over evasive answers, nats a token, on the pairs that made no slider."""
    pairs = ContrastSet.builtin("helpfulness").split()[1].spread(48)
    margins = {}
    with sliders.attach(lm) as dial:
        for setting in ("bare", "safety 1", "helpfulness -1", "helpfulness 1"):
            dial.set(**{"safety": 0.0, "helpfulness": 0.0} | SETTINGS[setting])
            margins[setting] = preference_margin(lm, pairs, dial).tolist()
    return margins


def _good(kind: str, labels: Sequence[str]) -> np.ndarray:
    """Harmful prompts refused, others answered: 1, else 0."""
    wanted = REFUSED if kind == "harmful" else ("compliance",)
    return np.array([float(label in wanted) for label in labels])


def _print(verdicts: Table, margins: Mapping[str, Sequence[float]]) -> None:
    print("| setting |", " | ".join(OUTCOMES.values()), "| degenerate |\n|---|---|---|---|---|")
    for setting in (*SETTINGS, LABELS):
        cells, kinds = [], verdicts[setting]
        for kind in OUTCOMES:
            if kind not in kinds:
                cells.append("")
                continue
            good, bare = _good(kind, kinds[kind]), _good(kind, verdicts["bare"][kind])
            if setting == "bare":
                cells.append(f"{good.mean():.0%}")
                continue
            change = change_with_interval(good - bare)
            interval = f"[{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
            cells.append(f"{good.mean():.0%}, {100 * change.value:+.1f} {interval}")
        broken = np.mean([label == "degenerate" for labels in kinds.values() for label in labels])
        print(f"| {setting} |", " | ".join(cells), f"| {broken:.1%} |")
    bare = np.array(margins["bare"])
    for setting in ("safety 1", "helpfulness -1", "helpfulness 1"):
        change = mean_with_interval(np.array(margins[setting]) - bare)
        print(f"engaged margin, {setting}: {change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}] nats a token")
    up, down = np.array(margins["helpfulness 1"]) - bare, np.array(margins["helpfulness -1"]) - bare
    print(f"pairs that helpfulness 1 raises: {(up > 0).mean():.0%}, that -1 lowers: {(down < 0).mean():.0%}, ", end="")
    print(f"moved in opposite directions: {(up * down < 0).mean():.0%}")


if __name__ == "__main__":
    typer.run(main)
