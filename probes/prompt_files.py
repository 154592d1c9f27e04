"""Rows of published prompt sets: from files of the usual kinds, or from the Hub."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from probes.rows import INCOMPLETE, PLAIN_TRAITS, Row, other_trait
from steering.data.chats import first_problem
from steering.errors import SteeringError, first_line, quoted
from steering.extras import pip_install
from steering.json_reading import parse_json, read_json

MOST_INFLATED = 200
"""Times its size that a Parquet file may hold: text packs to a tenth, and no row of prompts to less than a byte."""


def read_rows(path: str | Path, text_column: str) -> list[Row]:
    """The rows of a `.csv`, `.json`, `.jsonl`, `.parquet` or (one text a line, under `text_column`) `.txt` file.

    A `.json` file may hold a row a line too, and a row may be a list, which then stands under `text_column`.

    Raises:
        SteeringError: for a file that can't be read, and for one that holds no list of rows.
    """
    path = Path(path)
    readers: dict[str, Callable[[], Any]] = {
        ".csv": lambda: _csv(path),
        ".json": lambda: _json(path),
        ".jsonl": lambda: _json_lines(path, _lines(path)),
        ".txt": lambda: [{text_column: line} for line in _lines(path)],
        ".parquet": lambda: _parquet(path),
    }
    if path.suffix not in readers:
        raise SteeringError(f"Expected a file that ends in {quoted(readers)}, found {str(path)!r}.")
    try:
        rows = readers[path.suffix]()
    except (OSError, UnicodeError) as error:
        raise SteeringError(f"Can't read {str(path)!r}: {first_line(error)}; get a fresh copy.") from error
    if isinstance(rows, list):
        rows = [{text_column: row} if isinstance(row, list) else row for row in rows]
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise SteeringError(f"Expected {str(path)!r} to hold a list with one object a row; get a fresh copy.")
    return rows


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]


def _json(path: Path) -> Any:
    """The file's one value, or the values of its lines where the first of several is JSON by itself."""
    lines = _lines(path)
    if len(lines) > 1:
        with suppress(SteeringError):
            parse_json(lines[0], "the first line")
            return _json_lines(path, lines)
    return read_json(path)


def _json_lines(path: Path, lines: Iterable[str]) -> list[Any]:
    return [parse_json(line, f"line {number} of {str(path)!r}") for number, line in enumerate(lines, start=1)]


def _csv(path: Path) -> list[Row]:
    """Rows by the names in the first line.

    Unlike the library by default, nothing is guessed (an open quote, a name that stands twice and a row with more cells
    than columns are refused), and a cell may be as long as the file.
    """
    text = path.read_bytes().decode("utf-8-sig")
    former = csv.field_size_limit(max(len(text), 1))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names, rows = reader.fieldnames or (), list(reader)
    except csv.Error as error:
        at = f"{str(path)!r} at line {reader.reader.line_num}"
        raise SteeringError(f"Can't read {at}: {first_line(error)}; correct the quotes there.") from error
    finally:
        csv.field_size_limit(former)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise SteeringError(f"{str(path)!r} has several columns {quoted(twice)}; keep one of each name.")
    for number, row in enumerate(rows, start=1):
        if None in row:
            found = f"has {len(names) + len(row[None])} cells for {len(names)} columns"
            raise SteeringError(f"{str(path)!r}, row {number}, {found}; quote the cells that hold commas.")
    return list(rows)


class _Method(BaseModel):
    method: str


class _Jailbreak(BaseModel):
    prompt: str | None


class _Artifact(BaseModel):
    """What is read of JailbreakBench's files."""

    parameters: _Method
    jailbreaks: tuple[_Jailbreak, ...]


def read_artifacts(path: Path) -> list[Row]:
    """The prompts of one of JailbreakBench's artifacts, or of all in a folder, each with its attack under `method`.

    Behaviors for which the attack found no prompt are left out.
    """
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    rows: list[Row] = []
    for file in files:
        try:
            found = _Artifact.model_validate(read_json(file))
        except ValidationError as error:
            if path.is_dir():
                continue  # its attack-info.json and the like
            raise SteeringError(
                f"Expected {str(file)!r} to hold 'parameters' with a 'method', and 'jailbreaks' with prompts: "
                f"{first_problem(error)}; pass a file of JailbreakBench's artifacts, or their folder."
            ) from error
        method = found.parameters.method
        rows += [{"method": method, "prompt": row.prompt} for row in found.jailbreaks if row.prompt]
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
        if (trait := other_trait(row, except_for=PLAIN_TRAITS.keys() - INCOMPLETE)) is not None:
            raise SteeringError(
                f"{str(path)!r}, row {number}, is more than its {column!r}: it has {trait[1]!r} in {trait[0]!r}; "
                "write that into the prompt or drop the row, and drop the column."
            )
        prompts.append(row[column])
    if not prompts:
        raise SteeringError(f"{str(path)!r} holds no prompt; get a fresh copy.")
    return prompts


def _parquet(path: Path) -> list[Row]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise SteeringError(f"Parquet files need the library 'pyarrow'; run: {pip_install('benchmarks')}") from error
    with _sentence(repr(str(path)), "get a fresh copy"), pyarrow.parquet.ParquetFile(path) as file:
        groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
        size, declared = path.stat().st_size, sum(group.total_byte_size for group in groups)
        if file.metadata.num_rows > size or declared > MOST_INFLATED * size:
            raise ValueError(f"it declares {file.metadata.num_rows} rows of {declared} bytes, and has {size} bytes")
        rows: list[Row] = file.read().to_pylist()
    return rows


def rows_from_hub(hub_id: str, config: str | None, split: str) -> list[Row]:
    """The rows of a data set on the Hub."""
    load_dataset = _load_dataset()
    with _sentence(f"{hub_id!r} from the Hub", "pass the path of a local copy"):
        return list(load_dataset(hub_id, config, split=split))


def file_from_hub(hub_id: str, name: str) -> Path:
    """One file of a data set's repository on the Hub."""
    from huggingface_hub import hf_hub_download

    with _sentence(f"{name!r} of {hub_id!r} from the Hub", "pass the path of a local copy"):
        return Path(hf_hub_download(hub_id, name, repo_type="dataset"))


def rows_from_folder(folder: Path, config: str | None, split: str) -> list[Row]:
    """The rows of a local copy of a data set's repository."""
    load_dataset = _load_dataset()
    if config is not None and (folder / config).is_dir():  # read without the card, which a copy may lack
        folder, config = folder / config, None
    with _sentence(repr(str(folder)), "get a fresh copy, or name one file"):
        return list(load_dataset(str(folder), config, split=split))


def _load_dataset() -> Callable[..., Iterable[Row]]:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise SteeringError(f"Data sets need the library 'datasets'; run: {pip_install('benchmarks')}") from error
    found: Callable[..., Iterable[Row]] = load_dataset
    return found


@contextmanager
def _sentence(what: str, remedy: str) -> Iterator[None]:
    """Other libraries raise whatever the network, the Hub and the files make them raise; here one sentence."""
    try:
        yield
    except Exception as error:
        raise SteeringError(f"Can't load {what}: {first_line(error)}; {remedy}.") from error
