"""Rows of published prompt sets: from files of the usual kinds, or from the Hub."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from steering.errors import SteeringError, first_line, quoted

Row: TypeAlias = Mapping[str, Any]
_INSTALL = "install it with: pip install 'trimtab[benchmarks]'"


def read_rows(path: str | Path, text_column: str) -> list[Row]:
    """The rows of a `.csv`, `.json`, `.jsonl`, `.parquet` or (one text a line, under `text_column`) `.txt` file."""
    path = Path(path)

    def lines() -> list[str]:
        return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]

    readers: dict[str, Callable[[], Any]] = {
        ".csv": lambda: list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(keepends=True))),
        ".json": lambda: json.loads(path.read_text(encoding="utf-8")),
        ".jsonl": lambda: [json.loads(line) for line in lines()],
        ".txt": lambda: [{text_column: line} for line in lines()],
        ".parquet": lambda: _parquet(path),
    }
    if path.suffix not in readers:
        raise SteeringError(f"Expected a file that ends in {quoted(readers)}, found {str(path)!r}.")
    try:
        rows = readers[path.suffix]()
    except (OSError, ValueError) as error:
        raise SteeringError(f"Can't read {str(path)!r}: {first_line(error)}; get a fresh copy.") from error
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise SteeringError(f"Expected {str(path)!r} to hold a list with one object a row; get a fresh copy.")
    return rows


PROMPT_COLUMNS = ("prompt", "text", "instruction", "question", "goal", "Goal", "Behavior", "forbidden_prompt")


def read_prompts(path: str | Path) -> list[str]:
    """The prompts of a file of the kinds that `read_rows` reads: of the column that prompts are known to stand in.

    Args:
        path: the file; plain text has one prompt a line.

    Returns:
        The prompts in their order.

    Raises:
        SteeringError: for a file that can't be read, rows without such a column or with an empty prompt, and no rows.
    """
    prompts = []
    for number, row in enumerate(read_rows(path, PROMPT_COLUMNS[0]), start=1):
        column = next((name for name in PROMPT_COLUMNS if name in row), None)
        if column is None:
            known = quoted(PROMPT_COLUMNS)
            raise SteeringError(f"{str(path)!r}, row {number}, has none of the columns {known}, has {quoted(row)}.")
        if not isinstance(row[column], str) or not row[column].strip():
            raise SteeringError(f"{str(path)!r}, row {number}, has no text in {column!r}; drop the row.")
        prompts.append(row[column])
    if not prompts:
        raise SteeringError(f"{str(path)!r} holds no prompt; get a fresh copy.")
    return prompts


def _parquet(path: Path) -> list[Row]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise SteeringError(f"Parquet files need the library 'pyarrow'; {_INSTALL}") from error
    rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def rows_from_hub(hub_id: str, config: str | None, split: str) -> Iterable[Row]:
    """The rows of a data set on the Hub."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise SteeringError(f"Benchmarks from the Hub need the library 'datasets'; {_INSTALL}") from error
    try:
        rows: Iterable[Row] = load_dataset(hub_id, config, split=split)
    except Exception as error:  # datasets raises whatever the network, the Hub and the files make it raise
        reason = first_line(error)
        raise SteeringError(f"Can't load {hub_id!r} from the Hub: {reason}; pass the path of a local file.") from error
    return rows
