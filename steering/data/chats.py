"""Chats: what users write and contrast sets hold, before any tokenizer has seen it."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from pydantic import BaseModel, ValidationError

from steering.errors import SteeringError

Role: TypeAlias = Literal["system", "user", "assistant"]


class Message(BaseModel, frozen=True, extra="forbid"):
    """One turn of a chat: `Message(role="user", content="Hi")`."""

    role: Role
    content: str


Chat: TypeAlias = tuple[Message, ...]
ChatLike: TypeAlias = str | Sequence[Message | Mapping[str, str]]
"""A prompt as plain text, or the turns of a chat as `Message` objects or `{"role": …, "content": …}` mappings."""


def as_chat(chat: ChatLike) -> Chat:
    """Turn a prompt or a list of turns into a `Chat`.

    Args:
        chat: plain text for one user's turn, or turns as `Message` objects or mappings of `role` and `content`.

    Raises:
        SteeringError: when there is no turn, or a turn has no known role or no text.
    """
    if isinstance(chat, str):
        return (Message(role="user", content=chat),)
    try:
        messages = tuple(Message.model_validate(m) if not isinstance(m, Message) else m for m in chat)
    except ValidationError as error:
        raise SteeringError(f"A chat turn is not usable: {first_problem(error)}.") from error
    if not messages:
        raise SteeringError("Expected a chat with at least one turn, found an empty list; add a user turn.")
    return messages


def without_answer(chat: Chat) -> Chat:
    """The turns that are answered: all but an assistant's at the end.

    Args:
        chat: the turns of a chat.
    """
    return chat[:-1] if chat[-1].role == "assistant" else chat


def first_problem(error: ValidationError) -> str:
    """The first of pydantic's findings as words: where, what is wrong, what was found."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(map(str, problem["loc"]))
    found = repr(problem["input"])
    found = found if len(found) <= 60 else f"{found[:57]}..."
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{f'field {place!r}: ' if place else ''}{message}, found {found}"
