"""What many prompts begin with, such as a chat template's system turn, run through the model once."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import takewhile

import torch
from transformers import DynamicCache

from steering.language_model import LanguageModel


@dataclass(frozen=True)
class Prefix:
    """Tokens that all rows begin with, and their keys and values."""

    length: int
    cache: DynamicCache | None

    def for_rows(self, count: int) -> DynamicCache | None:
        """A cache of its own for a batch of so many rows; None where nothing is shared."""
        cache = copy.deepcopy(self.cache)
        if cache is not None:
            cache.batch_repeat_interleave(count)
        return cache


def shared_prefix(
    lm: LanguageModel,
    rows: Sequence[list[int]],
    longest: int,
    within: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Prefix:
    """Run what all rows begin with once, at most so many tokens.

    Not where somebody watches the model or its blocks, as a dial does: it is to see whole prompts, in the rows that it
    knows.

    Args:
        within: a context for the forward pass, such as one that ends it early.
    """
    length = min(len(common_prefix(rows)), longest) if rows else 0
    if length == 0 or len(rows) == 1 or is_watched(lm):
        return Prefix(0, None)
    cache = DynamicCache(config=lm.model.config)
    with within():
        run_into(lm, cache, rows[0][:length])
    return Prefix(length, cache)


@torch.inference_mode()
def run_into(lm: LanguageModel, cache: DynamicCache, ids: list[int]) -> None:
    """Add the keys and values of one row's next tokens to its cache."""
    lm.model(input_ids=torch.tensor([ids], device=lm.model.device), past_key_values=cache, use_cache=True)


def is_watched(lm: LanguageModel) -> bool:
    """Whether hooks sit on the model or its blocks."""
    return bool(lm.model._forward_pre_hooks) or any(block._forward_hooks for block in lm.blocks)


def common_prefix(rows: Sequence[list[int]]) -> list[int]:
    """What the first and the last row in order begin with, all rows between them begin with too."""
    first, last = min(rows), max(rows)
    return [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
