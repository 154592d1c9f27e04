"""What many prompts begin with, such as a chat template's system turn, run through the model once."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from steering.models.batching import pad
from steering.models.language_model import LanguageModel


@dataclass(frozen=True)
class Prefix:
    """Tokens that all rows begin with, and their keys and values."""

    length: int
    cache: DynamicCache | None

    def for_rows(self, count: int) -> DynamicCache | None:
        """A cache for one pass of a batch of so many rows; None where nothing is shared."""
        if self.cache is None:
            return None
        if all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in self.cache.layers):
            return _PassedBy(self.cache)  # keys and values by token, and no running state
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(count)
        return cache

    def run(self, lm: LanguageModel, rows: Sequence[list[int]], **options: Any) -> Any:
        """The model's output for whole rows that begin with the prefix, padded on the right: of what follows it."""
        input_ids, attention_mask = pad(rows, lm.padding_id, lm.model.device)
        cache = self.for_rows(len(rows))
        return lm.model(
            input_ids=input_ids[:, self.length :],
            attention_mask=attention_mask,
            past_key_values=cache,
            use_cache=cache is not None,
            **options,
        )

    def last_logits(self, lm: LanguageModel, rows: Sequence[list[int]]) -> Float[Tensor, "rows vocabulary"]:
        """The logits behind each row's last token."""
        ends = torch.tensor([len(row) - 1 - self.length for row in rows], device=lm.model.device)
        kept, which = torch.unique(ends, return_inverse=True)
        logits: Tensor = self.run(lm, rows, logits_to_keep=kept).logits[torch.arange(len(rows)), which]
        return logits


NOTHING_SHARED = Prefix(0, None)
"""For whole rows."""


class _PassedBy(DynamicCache):
    """Gives a pass the prefix' keys and values before its own, and keeps none of them: nobody reads on from there."""

    def __init__(self, prefix: DynamicCache) -> None:
        super().__init__()
        self.layers = prefix.layers

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """The layer's keys and values, the prefix' for every row and then the pass' own."""
        layer, rows = self.layers[layer_idx], len(key_states)
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        before = (states.expand(rows, -1, -1, -1) for states in (layer.keys, layer.values))
        keys, values = (torch.cat(both, dim=-2) for both in zip(before, (key_states, value_states), strict=True))
        return keys, values


def shared_prefix(
    lm: LanguageModel,
    rows: Sequence[list[int]],
    longest: int,
    within: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Prefix:
    """Run what all rows begin with once, at most `longest` tokens, inside the context `within`.

    Not where somebody watches the model or its blocks, as a dial does: it is to see whole prompts, in the rows that it
    knows.
    """
    length = min(len(common_prefix(rows)), longest) if rows else 0
    if length == 0 or len(rows) == 1 or is_watched(lm):
        return NOTHING_SHARED
    cache = DynamicCache(config=lm.model.config)
    with within():
        run_into(lm, cache, rows[0][:length])
    return Prefix(length, cache)


@torch.inference_mode()
def run_into(lm: LanguageModel, cache: DynamicCache, ids: list[int]) -> None:
    """Add the keys and values of one row's next tokens to its cache."""
    lm.model(input_ids=torch.tensor([ids], device=lm.model.device), past_key_values=cache, use_cache=True)


def is_watched(lm: LanguageModel) -> bool:
    """Whether hooks sit on the model, or anywhere in its blocks."""
    return bool(lm.model._forward_pre_hooks) or any(module._forward_hooks for module in lm.blocks.modules())


def common_prefix(rows: Sequence[list[int]]) -> list[int]:
    """What the first and the last row in order begin with, all rows between them begin with too."""
    first, last = min(rows), max(rows)
    return [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
