"""The keys and values of tokens that several rows begin with, and passes that go on from there."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad as zeros_before
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from steering.models.batching import pad
from steering.models.language_model import LanguageModel
from steering.models.llama_cpp.module import LlamaCppModel
from steering.models.llama_cpp.sequence_cache import SequenceCache

PromptCache: TypeAlias = DynamicCache | SequenceCache
"""PyTorch's keys and values, or the numbers of those that llama.cpp holds."""


@dataclass(frozen=True)
class Prefix:
    """Tokens that all rows begin with, and their keys and values."""

    length: int
    cache: PromptCache | None

    def run(self, lm: LanguageModel, rows: Sequence[list[int]], **options: Any) -> Any:
        """The model's output for whole rows that begin with the prefix, padded on the right: of what follows it."""
        input_ids, attention_mask = pad(rows, lm.padding_id, lm.input_device)
        return lm.model(
            input_ids=input_ids[:, self.length :],
            attention_mask=attention_mask,
            **self.cache_arguments(len(rows)),
            **options,
        )

    def last_logits(self, lm: LanguageModel, rows: Sequence[list[int]]) -> Float[Tensor, "rows vocabulary"]:
        """The logits behind each row's last token."""
        ends = torch.tensor([len(row) - 1 - self.length for row in rows], device=lm.input_device)
        kept, which = torch.unique(ends, return_inverse=True)
        if "logits_to_keep" in inspect.signature(lm.model.forward).parameters:
            logits: Tensor = self.run(lm, rows, logits_to_keep=kept).logits
        else:
            logits = self.run(lm, rows).logits[:, kept]
        return logits[torch.arange(len(rows)), which]

    def cache_arguments(self, rows: int) -> dict[str, Any]:
        """What a pass of so many rows takes to go on from here. No state is kept where nothing is shared."""
        if self.cache is None:
            return {"use_cache": False}
        branched = self.cache.branch(rows) if isinstance(self.cache, SequenceCache) else _PassedBy(self.cache)
        return {"use_cache": True, "past_key_values": branched}


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


def empty_cache(lm: LanguageModel) -> PromptCache:
    """A cache of one row that passes are to fill."""
    return lm.model.new_cache() if isinstance(lm.model, LlamaCppModel) else DynamicCache(config=lm.model.config)


@torch.inference_mode()
def run_into(lm: LanguageModel, cache: PromptCache, ids: list[int]) -> None:
    """Add the keys and values of one row's next tokens to its cache."""
    lm.model(input_ids=torch.tensor([ids], device=lm.input_device), past_key_values=cache, use_cache=True)


def side_by_side(lm: LanguageModel, caches: Sequence[PromptCache], lengths: Sequence[int], rows: int) -> PromptCache:
    """One cache of several prompts' caches, each in so many rows, padded on the left to one length."""
    if isinstance(lm.model, LlamaCppModel):
        together = lm.model.new_cache(0)
        for cache in caches:
            assert isinstance(cache, SequenceCache)
            together.take(cache, rows)
        return together
    longest = max(lengths)

    def joined(parts: Sequence[Tensor]) -> Tensor:
        gaps = (longest - length for length in lengths)
        spread = (part.expand(rows, -1, -1, -1) for part in parts)  # one row below the first move
        return torch.cat([zeros_before(part, (0, 0, gap, 0)) for part, gap in zip(spread, gaps, strict=True)])

    whole = DynamicCache(config=lm.model.config)
    for number, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
        if layers[0].is_initialized:
            keys, values = ([getattr(layer, kind) for layer in layers] for kind in ("keys", "values"))
            whole.update(joined(keys), joined(values), number)
    return whole
