"""Reading JSON that others wrote: values that the rest of the code can rely on, or one sentence.

Python's own reader takes more than JSON is, and other errors than ValueError come of it: nesting ends in
RecursionError, `1e999` and `NaN` are read as numbers that fit nowhere, an integer of a thousand digits overflows any
tensor, and half of a surrogate pair is text that can't be written out again.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

from steering.errors import SteeringError, first_line

MAX_DEPTH = 100
"""Lists and objects inside each other. What we read is nested less than ten deep."""


def read_json(path: str | Path) -> Any:
    """The value in a JSON file.

    Args:
        path: a file in UTF-8, with or without a byte order mark.

    Returns:
        Dicts, lists, text, finite numbers, booleans and None.

    Raises:
        SteeringError: for a file that isn't there or can't be read, and as `parse_json`.
    """
    path = Path(path)
    if not os.path.isfile(path):  # where a name is too long too, for which `Path.is_file` raises
        raise SteeringError(f"There is no file {str(path)!r}; check the path.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SteeringError(f"Can't read {str(path)!r}: {error.strerror}; check its rights.") from error
    return parse_json(content, repr(str(path)))


def parse_json(content: str | bytes, place: str) -> Any:
    """The value in a JSON text.

    Args:
        content: the text, as bytes in UTF-8.
        place: where it is from, as it stands in the message: `"'x.json'"`, `"line 3 of 'x.jsonl'"`.

    Returns:
        Dicts, lists, text, finite numbers, booleans and None.

    Raises:
        SteeringError: for text that isn't JSON, is nested more than `MAX_DEPTH` deep, or holds a number beyond float or
            text that isn't Unicode.

    Example:
        >>> parse_json('{"layer": 3}', "'direction_metadata.json'")
        {'layer': 3}
        >>> parse_json("[1e999]", "'x.svec'")
        Traceback (most recent call last):
        ...
        steering.errors.SteeringError: Expected JSON in 'x.svec', found a number beyond float: 1e999; correct it.
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        value = json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_number)
        _check_depth(value)
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair can't be
    except UnicodeError as error:
        raise SteeringError(f"Expected JSON in {place}, found text that isn't Unicode; save it as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise SteeringError(f"Expected JSON in {place}, found something else ({error}); correct it.") from error
    except RecursionError as error:
        raise SteeringError(f"Expected JSON in {place}, found {_TOO_DEEP}; correct it.") from error
    except ValueError as error:
        raise SteeringError(f"Expected JSON in {place}, found {first_line(error)}; correct it.") from error
    return value


_TOO_DEEP = f"lists or objects nested more than {MAX_DEPTH} deep"


def _integer(digits: str) -> int:
    _number(digits)  # what float can't hold, no tensor and no slider can
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        shown = digits if len(digits) <= 20 else f"{digits[:20]}… of {len(digits)} characters"
        raise ValueError(f"a number beyond float: {shown}")
    return number


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        level = [child for each in level for child in (each.values() if isinstance(each, dict) else each)]
