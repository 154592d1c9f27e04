"""Scopes: which tokens of a sequence a slider moves.

A state at token t decides about token t + 1, so `generated` first shows in the second new token, `last_prompt_token` in
the first, and `answer`, which is both, in every new token.
"""

from collections.abc import Callable
from typing import TypeAlias

from jaxtyping import Bool, Int
from torch import Tensor

from steering.errors import SteeringError, quoted

TokenChoice: TypeAlias = Callable[[Int[Tensor, "rows seq"], Int[Tensor, "rows 1"]], Bool[Tensor, "rows seq"]]
"""From each position's token index in its row and each row's prompt length to whether the slider acts there."""

_SCOPES: dict[str, TokenChoice] = {
    "prompt": lambda index, prompt_length: index < prompt_length,
    "generated": lambda index, prompt_length: index >= prompt_length,
    "answer": lambda index, prompt_length: index >= prompt_length - 1,
    "last_prompt_token": lambda index, prompt_length: index == prompt_length - 1,
}
SCOPES = ("all", *_SCOPES, "from_token:K")
ANSWER_SCOPES = ("generated", "answer", "last_prompt_token")
"""Scopes that leave alone what comes before a prompt's last token."""


def from_prompt_end(token: int) -> TokenChoice:
    """The one token that is so many tokens from the prompt's end, counted from 1."""
    return lambda index, prompt_length: index == prompt_length - token


def token_choice(scope: str) -> TokenChoice | None:
    """The function behind a scope's name; None for `all`, which needs no look at the tokens.

    `from_token:K` acts from the K-th token on, counted from 0 without padding, in every later step too.
    Raises SteeringError for an unknown name.
    """
    if scope == "all":
        return None
    name, _, start = scope.partition(":")
    if name == "from_token" and start.isdecimal():
        first = int(start)
        return lambda index, prompt_length: index >= first
    if scope not in _SCOPES:
        raise SteeringError(f"There is no scope {scope!r}; choose from {quoted(SCOPES)}, with K a token number.")
    return _SCOPES[scope]
