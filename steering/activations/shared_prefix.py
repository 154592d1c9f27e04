"""What many prompts begin with, such as a chat template's system turn, run through the model once."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import takewhile

from steering.activations.prefix import NOTHING_SHARED, Prefix, empty_cache, run_into
from steering.activations.trial_passes import goes_on_from_prefixes, pads_right
from steering.models.hook_points import no_hook
from steering.models.language_model import LanguageModel


def shared_prefix(
    lm: LanguageModel,
    rows: Sequence[list[int]],
    longest: int,
    within: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Prefix:
    """Run what all rows begin with once, at most `longest` tokens, inside the context `within`.

    Not in models that can't go on from keys and values, and not where somebody watches the model or its blocks, as a
    dial does: it is to see whole prompts, in the rows that it knows.
    """
    length = min(len(common_prefix(rows)), longest) if rows else 0
    if length == 0 or len(rows) == 1 or is_watched(lm) or not goes_on_from_prefixes(lm):
        return NOTHING_SHARED
    cache = empty_cache(lm)
    with within():
        run_into(lm, cache, rows[0][:length])
    return Prefix(length, cache)


def is_watched(lm: LanguageModel) -> bool:
    """Whether hooks that do something sit on the model, or anywhere in its blocks."""
    found = [lm.model._forward_pre_hooks, *(module._forward_hooks for module in lm.blocks.modules())]
    return any(hook is not no_hook for hooks in found for hook in hooks.values())


def takes_padding(lm: LanguageModel) -> bool:
    """Whether rows of different lengths may run in one batch, padded on the right; under hooks, as ever."""
    return is_watched(lm) or pads_right(lm)


def common_prefix(rows: Sequence[list[int]]) -> list[int]:
    """What the first and the last row in order begin with, all rows between them begin with too."""
    first, last = min(rows), max(rows)
    return [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
