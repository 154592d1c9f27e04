"""One grammar for the tokens of a chat: those whose activations are read, and those that a slider moves.

The activation at token t decides about token t + 1: a slider that moves `generated` first shows in the second new
token, one that moves `last_prompt_token` in the first, and `answer`, which is both, in every new token.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from steering.errors import SteeringError, quoted
from steering.models.chat_tokens import TokenizedChat

TokenPosition: TypeAlias = str
"""Tokens by name. Reading averages over them, a slider moves each of them:

- `all` tokens, those of the `prompt`, or those that are `generated`: the answer's;
- `last_prompt_token`, on which the answer follows; `answer`: that token and those generated; `answer:K`: the first K
  of these, which decide about an answer's first K tokens;
- `thought`, of a model that thinks: from the last prompt token to before the mark that closes the thought; its `answer`
  begins with that mark, where its chat template doesn't close the thought itself;
- `prompt_end:K`: the K-th token from the prompt's end, from 1; `from_token:K`: all from the K-th on, from 0.

Reading only, since they need the whole chat: `last`, the chat's last token, and `post_instruction`, the chat template's
tokens between the user's text and the answer.
"""
SteeringPosition: TypeAlias = Literal["all", "prompt", "generated", "answer", "thought", "last_prompt_token"]
ReadingPosition: TypeAlias = Literal["last", "post_instruction"]
POSITIONS = (*get_args(SteeringPosition), "answer:K", "prompt_end:K", "from_token:K")
"""What a slider can move, with K a number."""
ANSWER_POSITIONS = ("generated", "answer", "thought", "last_prompt_token")
"""Those that leave alone what comes before a prompt's last token; `answer:K` does too."""
PROMPT_POSITIONS = ("prompt", "last_prompt_token", "prompt_end")
"""Those of the prompt alone, with `prompt_end:K`."""

TokenChoice: TypeAlias = Callable[
    [Int[Tensor, "rows seq"], Int[Tensor, "rows 1"], Int[Tensor, "rows 1"]], Bool[Tensor, "rows seq"]
]
"""From each token's index in its row (-1 for padding), each row's prompt length, and the index of the first token that
decides about its answer, to whether the token is chosen."""

_NUMBER = re.compile("[0-9]{1,9}")
_CHOICES: dict[str, TokenChoice] = {
    "prompt": lambda index, prompt_length, answer_start: index < prompt_length,
    "generated": lambda index, prompt_length, answer_start: index >= prompt_length,
    "answer": lambda index, prompt_length, answer_start: index >= answer_start,
    "thought": lambda index, prompt_length, answer_start: (index >= prompt_length - 1) & (index < answer_start),
    "last_prompt_token": lambda index, prompt_length, answer_start: index == prompt_length - 1,
}


@cache
def from_prompt_end(number: int) -> TokenChoice:
    """The one token that is so many tokens from the prompt's end, counted from 1."""
    return lambda index, prompt_length, answer_start: (index == prompt_length - number) & (index >= 0)


@cache
def token_choice(position: TokenPosition) -> TokenChoice | None:
    """The tokens that a slider moves, as a function; None for `all`, which needs no look at the tokens.

    Raises SteeringError for an unknown name, and for one that can only be read.
    """
    name, _, digits = position.partition(":")
    number = int(digits) if _NUMBER.fullmatch(digits) else -1
    if position == "all":
        return None
    if position in _CHOICES:
        return _CHOICES[position]
    if name == "prompt_end" and number > 0:
        return from_prompt_end(number)
    if name == "from_token" and number >= 0:
        return lambda index, prompt_length, answer_start: index >= number
    if name == "answer" and number > 0:
        return lambda index, prompt_length, answer_start: (index >= answer_start) & (index < answer_start + number)
    if position in get_args(ReadingPosition):
        raise SteeringError(
            f"A slider can't move tokens at {position!r}, which is known of a whole chat only: choose from "
            f"{quoted(POSITIONS)}, with K a number."
        )
    raise SteeringError(
        f"There is no token position {position!r:.60}; choose from {quoted((*POSITIONS, *get_args(ReadingPosition)))}, "
        "with K a number of at most nine digits (prompt_end and answer count from 1)."
    )


def is_chosen(choice: TokenChoice, index: int, prompt_length: int, answer_start: int) -> bool:
    """Whether one token is chosen: the same comparisons on plain numbers, at a tenth of the cost.

    Args:
        choice: as `token_choice` gives it.
        index: the token's in its row.
        prompt_length: number of the row's tokens that are the prompt.
        answer_start: the first token that decides about the answer.
    """
    return bool(choice(index, prompt_length, answer_start))  # type: ignore[arg-type]


def spares_the_prompt(position: TokenPosition) -> bool:
    """Whether a slider on these tokens leaves alone what comes before a prompt's last one."""
    return position.partition(":")[0] in ANSWER_POSITIONS


def ends_with_the_prompt(position: TokenPosition) -> bool:
    """Whether a slider on these tokens leaves alone all that a model writes."""
    return position.partition(":")[0] in PROMPT_POSITIONS


def needs_answer_start(position: TokenPosition) -> bool:
    """Whether the choice depends on where a thought ends."""
    return position.partition(":")[0] in ("answer", "thought")


def check_position(position: TokenPosition) -> None:
    """Raise SteeringError unless tokens can be read at the position."""
    if position not in get_args(ReadingPosition):
        token_choice(position)


def token_span(chat: TokenizedChat, position: TokenPosition) -> tuple[int, int]:
    """The chat's tokens at a position: the first, and one past the last. Raises SteeringError where it has none."""
    if position == "last":
        start, stop = len(chat.ids) - 1, len(chat.ids)
    elif position == "post_instruction":
        start, stop = chat.instruction_end, chat.prompt_length
    else:
        index, choice = torch.arange(len(chat.ids)), token_choice(position)
        known = torch.tensor(chat.prompt_length), torch.tensor(chat.answer_start)
        chosen = index if choice is None else index[choice(index, *known)]
        start, stop = (int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else (0, 0)
    if start >= stop:
        raise SteeringError(
            f"A chat of {len(chat.ids)} tokens has none at position {position!r}; "
            "generated needs chats that end with an answer, post_instruction a chat template, thought a model that "
            "thinks, whose answer needs the thought to be closed."
        )
    return start, stop
