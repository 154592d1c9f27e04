"""Watching calls of a model's `generate`, which PyTorch has no hook for."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeAlias, cast

from transformers import PreTrainedModel

Listener: TypeAlias = Callable[..., AbstractContextManager[None]]
"""Called with the arguments of `generate`; what it returns is entered around the call."""


class _WatchedGenerate:
    """Stands in for one model's `generate` while anybody listens."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.own = vars(model).get("generate")  # what the user had put there, if anything
        self.generate = cast(Callable[..., Any], model.generate)
        self.listeners: list[Listener] = []
        functools.update_wrapper(self, self.generate)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            for listener in self.listeners:
                stack.enter_context(listener(*args, **kwargs))
            return self.generate(*args, **kwargs)


def watch_generate(model: PreTrainedModel, listener: Listener) -> Callable[[], None]:
    """Enter `listener(*args, **kwargs)` around every `model.generate(*args, **kwargs)`; returns what ends it.

    The model is as before once the last listener is gone, in whatever order they go.
    """
    if not hasattr(model, "generate"):
        return lambda: None
    watched = vars(model).get("generate")
    if not isinstance(watched, _WatchedGenerate):
        watched = _WatchedGenerate(model)
        vars(model)["generate"] = watched
    watched.listeners.append(listener)

    def end() -> None:
        watched.listeners.remove(listener)
        if not watched.listeners:
            del vars(model)["generate"]
            if watched.own is not None:
                vars(model)["generate"] = watched.own

    return end
