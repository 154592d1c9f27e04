"""Every recipe on one model: refusal of harmful, ordinary and look-alike prompts, and damage, at two settings.

    python benchmarks/recipes_table.py --data FOLDER --work FOLDER --model MODEL

FOLDER of the data holds `harmful_val.jsonl`, `harmless_train.jsonl`, `harmless_val.jsonl` (HarmBench, Alpaca) and
`xstest_dev.jsonl` (look-alikes, or pseudo-harmful prompts). Nothing is generated and no judge is asked: refusal is the
probability that the first token begins a refusal, KL that of the next token on ordinary prompts against the bare model.
Each recipe stands at its own default (slider 1) and at the value at which KL is 0.1 nats on ordinary prompts of the
training part; what is reported was measured on the other parts. Sliders and results are kept in the work folder, so
that a run that was stopped goes on.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from steering import RECIPES, LanguageModel, RecipeInputs, Slider, Sliders, SteeringVector, from_inputs, load
from steering.atomic_write import atomic_write
from steering.scoring.next_token import kl_divergence, next_token_log_probabilities, refusal_tokens

EQUAL_KL = 0.1
LARGEST = 8.0
HALVINGS = 6
COLUMNS = ("harmful", "ordinary", "look-alike", "kl")


def read_prompts(path: Path, count: int, **wanted: str) -> list[str]:
    """So many prompts, spread over the file's lines that have the wanted values."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    prompts = [row["prompt"] for row in rows if all(row[key] == value for key, value in wanted.items())]
    return prompts[:: len(prompts) // count][:count]


class Measures:
    """The model's scores under whatever is attached to it."""

    def __init__(self, lm: LanguageModel, data: Path, count: int) -> None:
        self.lm = lm
        self.prompts = {
            "harmful": read_prompts(data / "harmful_val.jsonl", count),
            "ordinary": read_prompts(data / "harmless_val.jsonl", count),
            "look-alike": read_prompts(data / "xstest_dev.jsonl", count, label="safe"),
        }
        self.tuning = read_prompts(data / "harmless_train.jsonl", count)
        self.refusing = refusal_tokens(lm)
        self.bare = next_token_log_probabilities(lm, self.prompts["ordinary"])
        self.bare_tuning = next_token_log_probabilities(lm, self.tuning)

    def tuning_kl(self) -> float:
        """KL on the prompts that the equal-KL setting is searched on."""
        return kl_divergence(self.bare_tuning, next_token_log_probabilities(self.lm, self.tuning)).mean().item()

    def row(self) -> dict[str, float]:
        """What is reported."""
        found = {kind: next_token_log_probabilities(self.lm, prompts) for kind, prompts in self.prompts.items()}
        refusal = {kind: some[:, self.refusing].exp().sum(-1).mean().item() for kind, some in found.items()}
        return refusal | {"kl": kl_divergence(self.bare, found["ordinary"]).mean().item()}


def measure(measures: Measures, slider: Slider | SteeringVector) -> dict[str, Any]:
    """Scores at slider 1, and at the value of equal KL, if the slider reaches it."""
    with Sliders(slider=slider).attach(measures.lm) as dial:
        dial.set(slider=1.0)
        default = measures.row()
        low, high = 0.0, LARGEST
        dial.set(slider=high)
        reached = measures.tuning_kl() > EQUAL_KL
        for _ in range(HALVINGS * reached):
            middle = (low + high) / 2 if low else high / 4
            dial.set(slider=middle)
            low, high = (middle, high) if measures.tuning_kl() < EQUAL_KL else (low, middle)
        value = low or high
        dial.set(slider=value if reached else LARGEST)
        return {"default": default, "value": value if reached else None, "equal": measures.row()}


def table(results: dict[str, Any], bare: dict[str, float]) -> str:
    """The results as Markdown."""
    lines = [
        "| recipe | at | refuses harmful | refuses ordinary | refuses look-alike | KL, ordinary |",
        "|---|---|---|---|---|---|",
        f"| bare | 0 | {cells(bare)} |",
    ]
    for name, result in results.items():
        value = result["value"]
        at = f"{value:.2f} (KL {EQUAL_KL:g})" if value is not None else f"{LARGEST:g} (KL {EQUAL_KL:g} not reached)"
        lines += [f"| {name} | 1 | {cells(result['default'])} |", f"| | {at} | {cells(result['equal'])} |"]
    return "\n".join(lines)


def cells(row: dict[str, float]) -> str:
    """Refusals in percent, KL in nats."""
    return " | ".join(f"{row[key]:.3f}" if key == "kl" else f"{100 * row[key]:.0f} %" for key in COLUMNS)


@torch.inference_mode()
def main(
    data: Annotated[Path, typer.Option(help="Folder with the public prompts.")],
    work: Annotated[Path, typer.Option(help="Folder for sliders and results.")],
    model: Annotated[str, typer.Option()] = "smollm2-135m-instruct",
    prompts: Annotated[int, typer.Option(help="Prompts of a kind.")] = 16,
    validation_pairs: Annotated[int, typer.Option(help="Pairs that directions are searched on.")] = 16,
) -> None:
    """Print the table as Markdown."""
    work.mkdir(parents=True, exist_ok=True)
    lm = load(model)
    measures = Measures(lm, data, prompts)
    inputs = RecipeInputs(lm, validation_pairs=validation_pairs)
    kept = work / "results.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    for name in ("random", *RECIPES):
        if name in results:
            continue
        file = work / f"{name}.safetensors"
        if file.is_file():
            slider: Slider | SteeringVector = Slider.load(file, lm)
        else:
            slider = inputs.vector("safety", "random") if name == "random" else from_inputs(inputs, name)
            slider.save(file)
        results[name] = measure(measures, slider)
        with atomic_write(kept) as temporary:
            Path(temporary).write_text(json.dumps(results, indent=2), encoding="utf-8")
        print(name, results[name], flush=True)
    print(f"\n{Path(lm.identity.name).name}, {prompts} prompts of a kind\n")
    print(table(results, measures.row()))


if __name__ == "__main__":
    typer.run(main)
