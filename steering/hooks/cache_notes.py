"""Notes on caches: whose prompts a cache holds."""

from itertools import count

from transformers import Cache

from steering.hooks.prompts import Prompts

_numbers = count()


class CacheNotes:
    """One dial's. A note is an attribute of the cache, so that copies have it too: `copy.deepcopy(prompt_cache)`."""

    def __init__(self) -> None:
        self._name = f"_prompts_of_dial_{next(_numbers)}"

    def read(self, cache: object) -> Prompts | None:
        """The prompts that the cache holds; None for one that the dial hasn't seen."""
        return vars(cache).get(self._name) if isinstance(cache, Cache) else None

    def write(self, cache: object, prompts: Prompts) -> None:
        """Note what a cache holds from now on; without effect on what is no cache."""
        if isinstance(cache, Cache):
            vars(cache)[self._name] = prompts
