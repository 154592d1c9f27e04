"""Where the prompts of plain forward passes end, for whoever watches them: a pass over a whole chat doesn't show it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_lengths: ContextVar[Tensor | None] = ContextVar("prompt_lengths", default=None)


@contextmanager
def declared_prompts(lengths: Sequence[int]) -> Iterator[None]:
    """Around forward passes over rows whose first so many real tokens are prompts; sliders act on the rest as answers.

    Args:
        lengths: number of prompt tokens of each row.

    Yields:
        Nothing.

    Example:
        >>> with declared_prompts([3]):
        ...     declared_lengths()
        tensor([3])
    """
    token = _lengths.set(torch.tensor(lengths))
    try:
        yield
    finally:
        _lengths.reset(token)


def declared_lengths() -> Tensor | None:
    """Those of the passes under way; None where nobody said any."""
    return _lengths.get()
