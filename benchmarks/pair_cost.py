"""What making the balanced pair costs beside one bare forward pass over the tokens that it reads.

    python benchmarks/pair_cost.py --model MODEL

The bare pass goes over the same chats in the same batches, with the beginning that all share read once; medians of
paired runs. `--quick` is timed too.
"""

import time
from statistics import median
from typing import Annotated

import typer

from steering import ContrastSet, LanguageModel, load
from steering.data.chats import Chat, Message
from steering.recipes.balanced import balanced
from steering.recipes.push_trials import ANSWERED_PROMPTS, OPENINGS, REFUSALS
from steering.recipes.taught_prompts import TaughtPrompts
from steering.scoring.next_token import next_token_log_probabilities


def read_chats(quick: bool) -> list[list[Chat]]:
    """All that the recipe reads: its prompts, engaged and evasive answers, refusals and openings."""
    prompts = TaughtPrompts.of(quick=quick)
    pairs, _ = ContrastSet.builtin("helpfulness").split()
    pairs = pairs.spread(len(pairs) // 2) if quick else pairs
    harmful = [chat for chat, wish in zip(prompts.chats, prompts.harmful, strict=True) if wish][:ANSWERED_PROMPTS]
    short = [(*chat, *ending) for chat in harmful for ending in (_answer(REFUSALS[0]), _answer(OPENINGS[0]))]
    return [list(prompts.chats), [side for pair in pairs for side in (pair.positive, pair.negative)], short]


def _answer(text: str) -> Chat:
    return (Message(role="assistant", content=text),)


def bare_seconds(lm: LanguageModel, quick: bool) -> float:
    """One forward pass over everything, and nothing kept."""
    begun = time.perf_counter()
    for chats in read_chats(quick):
        for start in range(0, len(chats), 64):
            next_token_log_probabilities(lm, chats[start : start + 64])
    return time.perf_counter() - begun


def main(
    model: Annotated[str, typer.Option()],
    dtype: Annotated[str, typer.Option()] = "float32",
    runs: Annotated[int, typer.Option()] = 3,
) -> None:
    """Print the ratio of both."""
    lm = load(model, dtype=dtype)
    for quick in (False, True):
        ratios, seconds = [], []
        for _ in range(runs):
            bare, begun = bare_seconds(lm, quick), time.perf_counter()
            balanced(lm, quick=quick, progress=False)
            seconds.append(time.perf_counter() - begun)
            ratios.append(seconds[-1] / bare)
        print(f"quick={quick}: {median(seconds):.0f} s, {median(ratios):.2f} times the bare pass")


if __name__ == "__main__":
    typer.run(main)
