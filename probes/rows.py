"""What the columns of a prompt set's rows say: the prompt, under the names that layouts have for it, and its traits.

Files hold anything under a column's name. What is taken out of a row here is of the type that it is used as, or a
ValueError that says what was found.
"""

import ast
import re
from collections.abc import Collection, Mapping
from reprlib import repr as shortened
from typing import Any, TypeAlias

from pydantic import ValidationError

from steering.data.chats import first_problem
from steering.errors import SteeringError, first_line
from steering.json_reading import parse_json

Row: TypeAlias = Mapping[str, Any]


class MissingColumnError(KeyError):
    """A row has none of the columns that a layout knows something by."""

    def __init__(self, names: Collection[str], remedy: str) -> None:
        super().__init__(*names)
        self.remedy = remedy

    def __str__(self) -> str:
        return " or ".join(map(repr, self.args))


def cell(row: Row, *names: str, remedy: str = "") -> Any:
    """What stands in the first of the columns that the row has."""
    for name in names:
        if name in row:
            return row[name]
    raise MissingColumnError(names, remedy)


def text(row: Row, *names: str, remedy: str = "") -> str:
    """The text in the first of the columns that the row has."""
    found = cell(row, *names, remedy=remedy)
    if not isinstance(found, str):
        raise ValueError(f"expected text in {_present(row, names)!r}, found {shortened(found)}")
    return found


def label(row: Row, *names: str) -> str:
    """What a column calls the row, in words or numbers, as text; empty where the row has none of the columns."""
    found = next((row[name] for name in names if name in row), None)
    if isinstance(found, bool) or not isinstance(found, str | int | float | None):
        raise ValueError(f"expected a name in {_present(row, names)!r}, found {shortened(found)}")
    return "" if found is None else str(found)


def place(row: Row, name: str, options: int) -> int:
    """The place of the right one among so many options."""
    found = cell(row, name)
    if str(found) not in map(str, range(options)):
        raise ValueError(f"expected the answer's place from 0 to {options - 1}, found {shortened(found)}")
    return int(found)


def listed(row: Row, *names: str) -> list[Any]:
    """The list in the first of the columns that the row has; a CSV file holds it as JSON, or as Python writes it."""
    found = value = cell(row, *names)
    if isinstance(value, str):
        try:
            found = parse_json(value, "the column")
        except SteeringError:
            found = _as_python_writes(value)
    if not isinstance(found, list):
        raise ValueError(f"expected a list in {_present(row, names)!r}, found {shortened(value)}")
    return found


def _as_python_writes(value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (SyntaxError, TypeError, ValueError, MemoryError, RecursionError):  # of anything else, and of deep nesting
        return None


def texts(row: Row, *names: str) -> list[str]:
    """A list of texts, likewise."""
    found = listed(row, *names)
    if not all(isinstance(one, str) for one in found):
        raise ValueError(f"expected a list of texts in {_present(row, names)!r}, found {shortened(found)}")
    return found


def _present(row: Row, names: Collection[str]) -> str:
    return next(name for name in names if name in row)


def reason(error: Exception) -> str:
    """What is wrong with a row, as it stands in a sentence."""
    found = first_problem(error) if isinstance(error, ValidationError) else first_line(error)
    return found.rstrip(".")


PLAIN_TRAITS: dict[str, tuple[str, ...]] = {
    "image": (),
    "audio": (),
    "video": (),
    "context": (),
    "modality": ("text",),
    "language": ("en", "eng", "english"),
    "lang": ("en", "eng", "english"),
    "style": ("base", "plain", "vanilla", "original"),
}
"""Words in the names of columns that say what kind of prompt a row is, and what stands there for plain ones, if not
nothing."""
INCOMPLETE = ("image", "audio", "video", "context", "modality")
"""Those that say that there is more to the prompt than its text."""


def other_trait(row: Row, except_for: Collection[str] = ()) -> tuple[str, Any] | None:
    """The column, and what it says, by which a row is no plain prompt in English; None if there is none.

    Example:
        >>> other_trait({"prompt": "Hallo", "language": "de"})
        ('language', 'de')
        >>> other_trait({"prompt": "Hi", "language": "en-GB", "ImageFileName": ""})
    """
    for column, value in row.items():
        for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", str(column)):
            plain = PLAIN_TRAITS.get(word.lower())
            if plain is None or word.lower() in except_for or not value:
                continue
            if re.split("[-_ ]", str(value).strip().lower())[0] not in (*plain, "", "nan", "null", "none"):
                return column, value
    return None
