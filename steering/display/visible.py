"""Text of others, such as names in files, made safe to show: what can't be seen is written out as an escape."""

import re

_UNSEEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
"""Control characters but the tab and the end of a line, marks that turn the direction of text, and half surrogates."""


def visible(text: str) -> str:
    r"""The text with what can't be seen as `\u001b`: no terminal obeys it. JSON keeps its meaning.

    Example:
        >>> print(visible("red\x1b[31m\nnext line"))
        red\u001b[31m
        next line
    """
    return re.sub(f"[{_UNSEEN}]", _escape, text)


def one_line(text: str) -> str:
    r"""The same with ends of lines and tabs: a name stays within its line.

    Example:
        >>> print(one_line("name\nrange: 0 to 1"))
        name\u000arange: 0 to 1
    """
    return re.sub(f"[\t\n{_UNSEEN}]", _escape, text)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
