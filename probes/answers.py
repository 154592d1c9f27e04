"""Answers to many prompts, greedy or sampled, and how each of them began."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import BaseModel, Field, model_validator
from torch import Tensor
from typing_extensions import Self

from steering import LanguageModel
from steering.data.chats import ChatLike
from steering.models.batching import like_lengths
from steering.models.hook_points import temporary_hooks
from steering.scoring.next_token import first_token_log_probabilities, refusal_log_odds, refusal_tokens

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

    @property
    def sampling(self) -> dict[str, Any]:
        """Options of `generate` for sampled answers."""
        return {"do_sample": True, "temperature": self.temperature, "top_p": self.top_p, "top_k": 0}

    def __str__(self) -> str:
        if not self.seeds:
            return f"greedy, {self.max_new_tokens} new tokens"
        sampled = f"sampled at temperature {self.temperature:g}, top-p {self.top_p:g}"
        return f"{sampled}, seeds {', '.join(map(str, self.seeds))}, {self.max_new_tokens} new tokens"


class Answers(BaseModel, frozen=True, extra="forbid"):
    """What a model wrote to prompts, in their order."""

    texts: tuple[str, ...]
    refusal: tuple[float, ...]
    """Log odds, in nats, that the answer begins as refusals do (`steering.scoring.next_token.refusal_score`), or goes
    on so behind what was prefilled.

    Empty where answers are chosen among several, or their tokens by more than the model's own distribution.
    """

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if len(self.refusal) not in (0, len(self.texts)):
            raise ValueError(f"expected how each of {len(self.texts)} answers began, found {len(self.refusal)}")
        return self


def answer(
    lm: LanguageModel,
    prompts: Sequence[ChatLike],
    decoding: Decoding,
    seed: int | None,
    before_batch: Callable[[Sequence[int]], object] = lambda places: None,
) -> Answers:
    """Answer every prompt once. An attached dial is in force.

    A seed gives the same sampled answers every time, None greedy ones. The caller's random state stays as it is.
    `before_batch` is called with the numbers of the prompts that become the next batch's rows.
    """
    first: list[Tensor] = []

    def keep_first(_model: object, _inputs: object, output: Any) -> None:
        """Keep the logits behind a batch's first new token: no second pass over the prompts."""
        if not first:
            first.append(output.logits[:, -1].cpu())

    def first_token(batch: Sequence[ChatLike]) -> Tensor:
        """Log-probabilities of the answers' first tokens, in the order of the batch that the dial knows."""
        if lm.answers_at_once:
            return first[0].float().log_softmax(-1)
        return first_token_log_probabilities(lm, [lm.tokenize_answer_start(prompt) for prompt in batch])

    options = {} if seed is None else decoding.sampling
    refusing = refusal_tokens(lm)
    texts, refusal = [""] * len(prompts), [0.0] * len(prompts)
    lengths = [len(lm.tokenize(prompt).ids) for prompt in prompts]
    with torch.random.fork_rng(enabled=seed is not None), temporary_hooks([(lm.model, keep_first)]):
        if seed is not None:
            torch.manual_seed(seed)
        for places in like_lengths(lengths, TOKENS_PER_BATCH):
            first.clear()
            before_batch(places)
            batch = [prompts[place] for place in places]
            written = lm.generate(batch, decoding.max_new_tokens, **options)
            odds = refusal_log_odds(first_token(batch), refusing).tolist()
            for place, text, value in zip(places, written, odds, strict=True):
                texts[place], refusal[place] = text, value
    return Answers(texts=tuple(texts), refusal=tuple(refusal))
