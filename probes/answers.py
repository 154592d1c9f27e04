"""Answers to many prompts, greedy or sampled, and how each of them began."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn
from tqdm.auto import tqdm

from steering import LanguageModel
from steering.data.chats import ChatLike
from steering.models.batching import like_lengths
from steering.scoring.next_token import refusal_log_odds, refusal_tokens

TOKENS_PER_BATCH = 4096
"""Prompt tokens that are answered in one batch."""


class Decoding(BaseModel, frozen=True, extra="forbid"):
    """How answers are written."""

    max_new_tokens: int = Field(default=64, ge=1)
    seeds: tuple[int, ...] = ()
    """One sampled answer to every prompt for each seed; without any, one greedy answer."""
    temperature: float = Field(default=1.0, gt=0)
    """For sampled answers; greedy ones have none."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Share of the probability that tokens are sampled from, the likeliest first."""

    @property
    def runs(self) -> tuple[int | None, ...]:
        """The seeds, or None once for greedy."""
        return self.seeds or (None,)

    def __str__(self) -> str:
        if not self.seeds:
            return f"greedy, {self.max_new_tokens} new tokens"
        sampled = f"sampled at temperature {self.temperature:g}, top-p {self.top_p:g}"
        return f"{sampled}, seeds {', '.join(map(str, self.seeds))}, {self.max_new_tokens} new tokens"


class Answers(BaseModel, frozen=True, extra="forbid"):
    """What a model wrote to prompts, in their order."""

    texts: tuple[str, ...]
    refusal: tuple[float, ...]
    """Log odds, in nats, that the answer begins as refusals do (`steering.scoring.next_token.refusal_score`).

    Empty where answers are chosen among several.
    """


def answer(
    lm: LanguageModel, prompts: Sequence[ChatLike], decoding: Decoding, seed: int | None, progress: bool = False
) -> Answers:
    """Answer every prompt once. An attached dial is in force.

    Args:
        lm: The model.
        prompts: Answered in batches of like length, given back in their order.
        decoding: How answers are written; its seeds are the caller's to go through.
        seed: Gives the same sampled answers every time; greedy when None. The caller's random state stays as it is.
        progress: Whether to show a progress bar.

    Returns:
        The answers' texts, and how each of them began.
    """
    options: dict[str, Any] = {}
    if seed is not None:
        options = {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}
    refusing = refusal_tokens(lm)
    texts, refusal = [""] * len(prompts), [0.0] * len(prompts)
    lengths = [len(lm.tokenize(prompt).ids) for prompt in prompts]
    with torch.random.fork_rng(enabled=seed is not None), tqdm(total=len(prompts), disable=not progress) as bar:
        if seed is not None:
            torch.manual_seed(seed)
        for places in like_lengths(lengths, TOKENS_PER_BATCH):
            with _first_logits(lm.model) as first:
                written = lm.generate([prompts[place] for place in places], decoding.max_new_tokens, **options)
            odds = refusal_log_odds(first[0].float().log_softmax(-1), refusing).tolist()
            for place, text, value in zip(places, written, odds, strict=True):
                texts[place], refusal[place] = text, value
            bar.update(len(places))
    return Answers(texts=tuple(texts), refusal=tuple(refusal))


@contextmanager
def _first_logits(model: nn.Module) -> Iterator[list[Tensor]]:
    """The logits behind the first new token, kept while the model generates: no second pass over the prompts."""
    found: list[Tensor] = []

    def keep(_model: nn.Module, _inputs: object, output: Any) -> None:
        if not found:
            found.append(output.logits[:, -1].cpu())

    with model.register_forward_hook(keep):
        yield found
