"""Whether a vector of a model serves its quantized copies: the figures in docs/limits.md on `quantization`.

    python benchmarks/quantized_copies.py smollm2-135m-instruct

Needs bitsandbytes and torchao, which run on a CPU too. The `safety` set is extracted on the model and on each copy. Its
directions are compared layer by layer, and so is what the model's own vector and pair do to a copy and what the copy's
vector does: the mean log odds of a refusing first token, on held-out prompts of the set.
"""

import gc
import sys
from collections.abc import Callable, Iterator

import torch
from torchao.quantization import Int8WeightOnlyConfig
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TorchAoConfig

from steering import ContrastSet, LanguageModel, Slider, Sliders, SteeringVector, extract, load, refusal_score

READ, SCORED = 32, 8
"""Pairs of the set that the directions are made of; others whose prompts are scored, both sides."""
COPIES: dict[str, Callable[[], object]] = {
    "torchao int8": lambda: TorchAoConfig(Int8WeightOnlyConfig()),
    "bitsandbytes int8": lambda: BitsAndBytesConfig(load_in_8bit=True),
    "bitsandbytes nf4": lambda: BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
    ),
}


def copies(lm: LanguageModel) -> Iterator[tuple[str, LanguageModel]]:
    """The model in each form, one after the other."""
    folder = lm.model.config.name_or_path
    for name, config in COPIES.items():
        model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=config(), dtype=torch.float32)
        yield name, LanguageModel(model.eval(), lm.tokenizer, name)
        gc.collect()


def refusal(lm: LanguageModel, axis: SteeringVector | Slider, prompts: list[str], *values: float) -> list[float]:
    """Mean refusal score with the slider at each value."""
    means = []
    with Sliders(axis=axis).attach(lm, allow_mismatch=["quantization"]) as dial:
        for value in values:
            dial.set(axis=value)
            means.append(refusal_score(lm, prompts).mean().item())
    return means


def row(name: str, figures: list[float]) -> str:
    """A line of a Markdown table."""
    return f"| {name} | {' | '.join(f'{figure:+.3f}' for figure in figures)} |"


if __name__ == "__main__":
    lm = load(sys.argv[1])
    shuffled, held_out = ContrastSet.builtin("safety").split()
    pairs = shuffled[:READ]
    prompts = [side for pair in held_out[:SCORED] for side in (pair.positive, pair.negative)]
    own = extract(lm, pairs, progress=False)
    pair = Sliders.balanced(lm, progress=False)["safety"]
    print(f"{lm.identity.name}, layers {list(own.recommended_layers)} moved by vectors\n")
    print("| copy | cosine: lowest layer | median | moved layers | bare | pair 1 | own +3 | own -3 | model's +3 | -3 |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    moved = refusal(lm, own, prompts, 3, -3)
    print(row("the model itself", [1, 1, 1, *refusal(lm, pair, prompts, 0, 1), *moved, *moved]))
    for name, copy in copies(lm):
        found = extract(copy, pairs, progress=False)
        cosines = torch.cosine_similarity(found.directions, own.directions)
        at_moved = cosines[[own.layers.index(layer) for layer in own.recommended_layers]].mean()
        figures = [cosines.min().item(), cosines.median().item(), at_moved.item(), *refusal(copy, pair, prompts, 0, 1)]
        figures += refusal(copy, found.select(own.recommended_layers), prompts, 3, -3)
        print(row(name, [*figures, *refusal(copy, own, prompts, 3, -3)]), flush=True)
