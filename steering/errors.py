"""The one error that users meet: a sentence that says what was expected, what was found and what to do."""

from collections.abc import Iterable


class SteeringError(ValueError):
    """Input that can't be used. The message is one sentence that the user can act on."""


def quoted(names: Iterable[object]) -> str:
    """`['a', 'b']` -> `'a', 'b'`, for messages that list what is known or what was found."""
    return ", ".join(repr(str(name)) for name in names) or "none"


def first_line(error: BaseException) -> str:
    """What another library's error says first, without its full stop, to be quoted in a message; else its type.

    Example:
        >>> first_line(ValueError("no such key.\\nMore words"))
        'no such key'
        >>> first_line(KeyError())
        'KeyError'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
