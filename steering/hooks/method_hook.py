"""Watching calls of a model's methods, such as `generate`, which PyTorch has no hook for."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from threading import Lock
from typing import Any, TypeAlias, cast

from transformers import PreTrainedModel

Listener: TypeAlias = Callable[..., AbstractContextManager[None]]
"""Called with the arguments of the method; what it returns is entered around the call."""
_changing = Lock()


class _WatchedMethod:
    """Stands in for one model's method while anybody listens. A copy of the model gets its plain method back."""

    def __init__(self, model: PreTrainedModel, name: str) -> None:
        self._model, self._name = model, name
        self.own = vars(model).get(name)  # what the user had put there, if anything
        self.method = cast(Callable[..., Any], getattr(model, name))
        self.listeners: tuple[Listener, ...] = ()  # never changed in place: a call in another thread goes through it
        functools.update_wrapper(self, self.method)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            for listener in self.listeners:
                stack.enter_context(listener(*args, **kwargs))
            return self.method(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _plain_method, (self._model, self._name, self.own)


def _plain_method(model: PreTrainedModel, name: str, own: Any) -> Any:
    return getattr(model, name) if own is None else own


def watch(model: PreTrainedModel, name: str, listener: Listener) -> Callable[[], None]:
    """Enter `listener(*args, **kwargs)` around every call of the model's method; returns what ends it.

    The model is as before once the last listener is gone, in whatever order they go.
    """
    if not hasattr(model, name):
        return lambda: None
    with _changing:
        watched = vars(model).get(name)
        if not isinstance(watched, _WatchedMethod):
            watched = _WatchedMethod(model, name)
            vars(model)[name] = watched
        watched.listeners += (listener,)

    def end() -> None:
        with _changing:
            place = watched.listeners.index(listener)
            watched.listeners = watched.listeners[:place] + watched.listeners[place + 1 :]
            if not watched.listeners:
                del vars(model)[name]
                if watched.own is not None:
                    vars(model)[name] = watched.own

    return end
