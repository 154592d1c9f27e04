"""How many tokens a model's cache holds: as it says itself or, where a state has no length, as counted.

Caches of keys and values know their length. The states of Mamba, RWKV and their like don't: what has passed is counted
for each cache object, from its empty state on.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch.utils.weak import WeakIdKeyDictionary
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin
from transformers.generation.utils import ALL_CACHE_NAMES

from steering.errors import SteeringError


class PastTokens:
    """Counts the tokens of the caches that pass by, in whatever thread; it keeps none of them alive."""

    def __init__(self) -> None:
        self._counts = WeakIdKeyDictionary()

    def pass_begins(self, arguments: Mapping[str, Any]) -> int:
        """Number of tokens that stand before those of a pass, by the forward's arguments.

        Args:
            arguments: those given, by name.

        Raises:
            SteeringError: for a filled state that no pass seen here has filled.
        """
        cache = cache_in(arguments)
        past = 0 if cache is None else self.length(cache)
        if (state := state_in(cache)) in self._counts:
            del self._counts[state]  # so that a pass that breaks off leaves none
        return past

    def pass_ends(self, output: object, columns: int) -> None:
        """Take the cache in the forward's output as one that holds the pass' tokens too.

        Args:
            output: what the forward returned.
            columns: number of tokens up to the pass' last, those that the cache held before included.
        """
        cache = cache_in(output) if isinstance(output, Mapping) else None
        if cache is not None:
            self._counts[state_in(cache)] = columns

    def length(self, cache: Any) -> int:
        """Number of tokens that a cache holds of each row.

        Raises SteeringError for a filled state that no pass seen here has filled.
        """
        cache = getattr(cache, "self_attention_cache", cache)  # of a decoder that could read an encoder too
        layers = getattr(cache, "layers", [])
        # The longest: layers without attention may stand in the list as empty ones.
        lengths = [int(layer.get_seq_length()) for layer in layers if isinstance(layer, CacheLayerMixin)]
        if lengths:
            return max(lengths)
        if isinstance(cache, Cache) and not any(_is_filled(layer) for layer in layers):
            return 0
        known = state_in(cache)
        if known not in self._counts:
            raise SteeringError(
                f"Expected a cache that says how many tokens it holds, or that the attached model has filled, found "
                f"a {type(cache).__name__!r} filled elsewhere; run the whole prompt under the dial, or attach with "
                "tokens='all' and sliders without a gate."
            )
        return int(self._counts[known])


def cache_in(values: Mapping[str, Any]) -> Any:
    """What stands under one of the names that models give their caches, if anything."""
    return next((values[name] for name in ALL_CACHE_NAMES if values.get(name) is not None), None)


def returned_caches(output: object) -> Iterable[Any]:
    """The caches in what a model's forward returned."""
    if isinstance(output, Mapping):
        return [cache_in(output)]
    return [part for part in output if isinstance(part, Cache)] if isinstance(output, tuple) else []


def state_in(cache: Any) -> Any:
    """The object by which a cache is known again: lists of states can't be told apart, the tensors in them can."""
    return cache[0] if isinstance(cache, list | tuple) else cache


def _is_filled(layer: Any) -> bool:
    return any(getattr(layer, "has_previous_state", {}).values())
