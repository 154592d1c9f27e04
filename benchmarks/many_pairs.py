"""Memory of extraction against the number of pairs: the figures in docs/speed.md.

python benchmarks/many_pairs.py --pairs 1000 --pairs 10000 --pairs 100000
python benchmarks/many_pairs.py --model smollm2-135m-instruct --pairs 128 --pairs 448 --pairs 4096
"""

import time
from collections.abc import Iterable
from functools import partial
from typing import Annotated

import torch
import typer
from transformers import LlamaConfig, LlamaForCausalLM

from steering import ContrastPair, ContrastSet, Header, LanguageModel, Message, extract, load
from trimtab.bench import kilobytes, peak_mb


def made_up(count: int) -> Iterable[ContrastPair]:
    """Pairs of prompts of some fifteen tokens besides the template's."""
    for number in range(count):
        texts = (f"Please {verb} door number {number} of the long corridor, quietly." for verb in ("open", "close"))
        positive, negative = ((Message(role="user", content=text),) for text in texts)
        yield ContrastPair(id=str(number), group="doors", positive=positive, negative=negative)


def tiny_random() -> LanguageModel:
    """Eight layers of width 64, with SmolLM2's tokenizer."""
    tokenizer = load("smollm2-135m-instruct").tokenizer
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LanguageModel(LlamaForCausalLM(config).eval(), tokenizer)


def main(
    pairs: Annotated[list[int], typer.Option(help="Numbers of pairs, in turn.")],
    model: Annotated[str, typer.Option(help="Model; a tiny random one if not given.")] = "",
) -> None:
    """Print the figures as Markdown."""
    lm = load(model) if model else tiny_random()
    extract(lm, ContrastSet(tuple(made_up(10)), Header(name="doors")), progress=False)
    print("| pairs | the set itself, MB | peak while extracting, MB | minutes |\n|---|---|---|---|")
    for count in pairs:
        before = kilobytes("VmRSS")
        contrast = ContrastSet(tuple(made_up(count)), Header(name="doors"))
        held = kilobytes("VmRSS") - before
        start = time.perf_counter()
        above = peak_mb(partial(extract, lm, contrast, progress=False))
        minutes = (time.perf_counter() - start) / 60
        print(f"| {count:,} | {held / 1e3:.0f} | {above:.0f} | {minutes:.1f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
