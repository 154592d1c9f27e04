"""What the columns of a prompt set's rows say: the prompt, under the names that layouts have for it, and its traits."""

import ast
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

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


def listed(value: Any) -> Any:
    """A list, which a CSV file holds as JSON, or as Python writes it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return ast.literal_eval(value)


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
