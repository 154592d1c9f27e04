"""Hooks that belong to the module they were put on: copies of it, deep or pickled, are bare."""

from functools import partial
from typing import Any

from steering.models.hook_points import no_hook


class OwnHook(partial[Any]):
    """A hook as `partial` makes it, of which a copy does nothing: nobody could take it off."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _none, ()


def _none() -> Any:
    return no_hook
