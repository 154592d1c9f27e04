"""What the two built-in sliders do to a model, on public prompts that made no vector: the figures in docs/effects.md.

    python benchmarks/slider_effects.py --model smollm2-135m-instruct --data FOLDER

FOLDER holds `harmful_val.jsonl`, `harmless_val.jsonl` and `or_bench_hard_dev.jsonl` (a `prompt` a line; HarmBench,
Alpaca, OR-Bench-Hard). Nothing is generated: refusal is the log odds of a refusing first token, helpfulness the margin
of engaged over evasive answers on held-out pairs. No judge, no sampling.
"""

import json
from pathlib import Path
from typing import Annotated

import torch
import typer
from sklearn.metrics import roc_auc_score

from steering import (
    ContrastSet,
    Dial,
    LanguageModel,
    Sliders,
    extract,
    load,
    preference_margin,
    record,
    refusal_score,
)

VALUES = (-1.0, -0.5, 0.0, 0.5, 1.0)
MEASURED = 12
"""Prompts of a kind and pairs of answers for the dose-response figures; the AUROC is taken over all prompts."""


def read_prompts(path: Path) -> list[str]:
    """The `prompt` of every line."""
    return [json.loads(line)["prompt"] for line in path.read_text(encoding="utf-8").splitlines()]


def measure(lm: LanguageModel, dial: Dial, prompts: dict[str, list[str]]) -> list[str]:
    """Mean of every score with its standard error, as table cells."""
    pairs = ContrastSet.builtin("helpfulness").split()[1][:MEASURED]
    scores = [refusal_score(lm, some) for some in prompts.values()] + [preference_margin(lm, pairs, dial)]
    return [f"{score.mean():+.3f} ± {score.std() / len(score) ** 0.5:.3f}" for score in scores]


def main(
    data: Annotated[Path, typer.Option(help="Folder with the public prompts.")],
    model: Annotated[str, typer.Option()] = "smollm2-135m-instruct",
) -> None:
    """Print the figures as Markdown."""
    lm = load(model)
    axes = {name: extract(lm, ContrastSet.builtin(name)) for name in ("safety", "helpfulness")}
    print(f"## {Path(lm.identity.name).name}\n")
    for name, vector in axes.items():
        print(f"- `{name}` moves layers {list(vector.recommended_layers)} of {lm.n_layers}")

    harmful, harmless = (read_prompts(data / f"{name}_val.jsonl") for name in ("harmful", "harmless"))
    activations = record(lm, harmful + harmless, layers=axes["safety"].recommended_layers)
    labels = [1] * len(harmful) + [0] * len(harmless)
    for row, layer in enumerate(axes["safety"].recommended_layers):
        auroc = roc_auc_score(labels, activations[:, row] @ axes["safety"][layer])
        print(f"- last-token AUROC, {len(harmful)} harmful vs {len(harmless)} harmless, layer {layer}: {auroc:.3f}")

    prompts = {
        "harmful": harmful[:MEASURED],
        "look-alike": read_prompts(data / "or_bench_hard_dev.jsonl")[:: 1055 // MEASURED][:MEASURED],
        "ordinary": harmless[:MEASURED],
    }
    print(f"\n| slider | {' | '.join(f'refusal, {kind}' for kind in prompts)} | helpfulness margin |")
    print("|---|" + "---|" * (len(prompts) + 1))
    with Sliders(**axes).attach(lm) as dial, torch.inference_mode():
        for axis in axes:
            for value in VALUES:
                dial.set(**dict.fromkeys(axes, 0.0) | {axis: value})
                print(f"| {axis} {value:+g} | {' | '.join(measure(lm, dial, prompts))} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
