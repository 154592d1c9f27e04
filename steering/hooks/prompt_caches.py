"""The keys and values of prompts that are answered under several slider settings, worked out once where they agree.

A prompt runs as one row. Where the first slider moves it, the sum of one state and a push for every setting is a row a
setting: the layers below have run once. A prompt that the sliders leave alone runs as one row to the end.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from steering.activations.prefix import PromptCache, empty_cache, run_into, side_by_side
from steering.activations.recording import stopping_at
from steering.activations.shared_prefix import common_prefix, is_watched
from steering.activations.trial_passes import (
    goes_on_from_prefixes,
    pads_left,
    spreads_rows,
    writes_batches,
    writes_on_from_caches,
)
from steering.hooks.dial import Dial
from steering.models.chat_tokens import TokenizedChat
from steering.models.language_model import LanguageModel
from steering.models.llama_cpp.sequence_cache import Columns
from steering.models.token_positions import spares_the_prompt

_CHOOSING = ("do_sample", "temperature", "top_k", "top_p", "min_p", "eos_token_id", "pad_token_id")
"""Options of `generate` that choose the next token and leave its cache alone."""


@dataclass(frozen=True)
class Allows:
    """What a model's passes allow."""

    caches: bool
    """Whether answers can be written behind caches of their prompts."""
    spreading: bool
    """Whether a row can become several behind a block."""
    batches: bool
    """Whether several rows can be answered at once."""
    padding: bool
    """Whether these can be of different lengths."""

    @classmethod
    def of(cls, lm: LanguageModel) -> "Allows":
        """Tried out without hooks; where somebody else's are on, they see whole prompts, padded as ever."""
        if is_watched(lm):
            return cls(caches=False, spreading=False, batches=True, padding=True)
        keeps = lm.model.generation_config.use_cache is not False
        caches = keeps and goes_on_from_prefixes(lm) and writes_on_from_caches(lm)
        return cls(caches, caches and spreads_rows(lm), writes_batches(lm), pads_left(lm))


class PromptCaches:
    """Makes caches of prompts under an attached dial, whose sliders it moves.

    Each prompt's last tokens, those that gates read or that sliders of the answer move, are left to `generate`, with
    what is prefilled of the answer.
    `allows` is what the model's passes allow, found out before the dial was attached.
    """

    def __init__(
        self, lm: LanguageModel, dial: Dial, allows: Allows, chats: Sequence[TokenizedChat], options: Mapping[str, Any]
    ) -> None:
        self._lm, self._dial = lm, dial
        self._rows = rows = [chat.ids for chat in chats]
        self._prompt_lengths = [chat.generation_start for chat in chats]
        self._moving = {name for name, push in dial.pushes if not spares_the_prompt(push.tokens)}
        read = max([1, *(token for _, push in dial.pushes if push.gate for token in push.gate.tokens)])
        self._tail = read + max((len(chat.opening) for chat in chats), default=0)
        self.possible = (
            not any(push.gate for name, push in dial.pushes if name in self._moving)
            and allows.caches
            and (allows.spreading or not self._moving)
            and {*options} <= {*_CHOOSING}
            and all(map(self._keeps_all, self._empty().layers))
            and min(map(len, rows), default=0) > self._tail
        )

    def move(self, values: Mapping[str, Sequence[float]]) -> None:
        """Take the sliders' values, one a setting, for the caches asked for next."""
        self._values = {axis: value if axis in self._moving else 0.0 for axis, value in values.items()}
        self._settings = max(map(len, values.values()))
        number = min(range(len(self._rows)), key=lambda number: len(self._rows[number]))
        self._common = min(len(common_prefix(self._rows)), len(self._rows[number]) - self._tail)
        self._prefix = self._empty()
        self._run(self._prefix, number, 0, self._common)

    def of(self, prompts: Sequence[int]) -> PromptCache:
        """The cache of prompts, by their numbers: each in a row a setting, padded on the left to one length."""
        lengths = [len(self._rows[number]) for number in prompts]
        caches = []
        for number, length in zip(prompts, lengths, strict=True):
            cache = copy.deepcopy(self._prefix)
            self._run(cache, number, self._common, length - self._tail)
            caches.append(cache)
        return side_by_side(self._lm, caches, lengths, self._settings)

    def _run(self, cache: PromptCache, number: int, start: int, stop: int) -> None:
        if start < stop:
            self._dial.set(harm=None, **self._values)  # what is left to `generate` alone asks gates
            with self._dial.one_prompt(self._prompt_lengths[number]), stopping_at(self._lm, self._lm.n_layers - 1):
                run_into(self._lm, cache, self._rows[number][start:stop])

    def _empty(self) -> PromptCache:
        return empty_cache(self._lm)

    def _keeps_all(self, layer: object) -> bool:
        """Whether a layer of the cache holds every token, so that shorter rows can be padded."""
        longest = max(map(len, self._rows), default=0)
        fits = isinstance(layer, DynamicSlidingWindowLayer) and longest < layer.sliding_window
        return fits or type(layer) in (DynamicLayer, Columns)
