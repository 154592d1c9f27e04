"""Notes on caches: whose prompts a cache holds."""

from itertools import count

from torch.utils.weak import WeakIdKeyDictionary
from transformers import Cache

from steering.hooks.past_tokens import state_in
from steering.hooks.prompts import Prompts

_numbers = count()


class CacheNotes:
    """One dial's. A note is an attribute of the cache, so that copies have it too: `copy.deepcopy(prompt_cache)`.

    What some families have in place of a cache takes no attribute: its state is known by the object that it is.
    """

    def __init__(self) -> None:
        self._name = f"_prompts_of_dial_{next(_numbers)}"
        self._of_states = WeakIdKeyDictionary()

    def read(self, cache: object) -> Prompts | None:
        """The prompts that the cache holds; None for one that the dial hasn't seen."""
        if isinstance(cache, Cache):
            return vars(cache).get(self._name)
        state = state_in(cache)
        if state not in self._of_states:  # nor is None, which `get` takes for an error
            return None
        found: Prompts = self._of_states[state]
        return found

    def write(self, cache: object, prompts: Prompts) -> None:
        """Note what a cache holds from now on; without effect for None."""
        if isinstance(cache, Cache):
            vars(cache)[self._name] = prompts
        elif (state := state_in(cache)) is not None:
            self._of_states[state] = prompts
