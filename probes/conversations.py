"""Conversations in the layouts of published sets and of users' own files: fixed transcripts, whose last turn is scored.

Sets that publish the users' turns alone are replayed so, one user's turn behind the other.
"""

from collections.abc import Sequence
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, get_args

from pydantic import BaseModel

from probes.benchmarks import Kind, LoadedBenchmark, conversation
from probes.prompt_files import read_rows
from probes.rows import Row, cell, label, listed, reason, text
from steering.data.chats import ChatLike
from steering.errors import SteeringError, quoted
from steering.json_reading import parse_json


def load_conversations(path: str | Path) -> LoadedBenchmark:
    """Your own conversations, from a `.json`, `.jsonl` or `.parquet` file.

    Args:
        path: a file with a column `messages`, a list of turns with `role` and `content`, and a column `kind`:
            harmful, look-alike, ordinary, jailbreak or forbidden; optionally a column `category`.

    Returns:
        Prompts with fixed transcripts.

    Raises:
        SteeringError: for a file without rows, and for rows that lack a column or don't end with the user's turn.

    Example:
        >>> load_conversations("chats.jsonl").prompts[0].messages[-1].role  # doctest: +SKIP
        'user'
    """
    rows, prompts = read_rows(path, "messages"), []
    kinds = [kind for kind in get_args(Kind) if kind != "ability"]
    for number, row in enumerate(rows, start=1):
        at = f"{str(path)!r}, row {number},"
        if "messages" not in row or row.get("kind") not in kinds:
            found = f"{quoted(row)} with the kind {row.get('kind')!r}"
            raise SteeringError(f"{at} needs 'messages' and a 'kind' of {quoted(kinds)}, found {found}; add them.")
        try:
            prompts.append(conversation(listed(row, "messages"), row["kind"], label(row, "category")))
        except ValueError as error:
            raise SteeringError(f"{at} holds no conversation: {reason(error)}; mend or drop it.") from error
    if not prompts:
        raise SteeringError(f"{str(path)!r} holds no conversation; get a fresh copy.")
    return LoadedBenchmark("conversations", tuple(prompts), "your own", "your own")


def user_turns(turns: Sequence[str]) -> dict[str, Any]:
    """Fields of a prompt that is published as the user's turns: a plain one, or several as a conversation."""
    if not turns:
        raise ValueError("expected a turn at least, found none")
    if len(turns) == 1:
        return {"text": turns[0]}
    return _conversation([{"role": "user", "content": turn} for turn in turns])


def messages(row: Row) -> dict[str, Any]:
    """Fields of a row that holds its turns with role and content, as CoSafe's do."""
    return _conversation(listed(row, "messages"))


class _Said(BaseModel):
    """A cell of MHJ."""

    role: str
    body: str


def numbered_messages(row: Row) -> dict[str, Any]:
    """Fields of a row of MHJ: columns `message_0`, `message_1`, …, each JSON of `role` and `body`, or empty."""
    columns = [f"message_{number}" for number in range(sum(name.startswith("message_") for name in row))]
    said = [_Said.model_validate(_parsed(row, column)) for column in columns if cell(row, column)]
    return _conversation([{"role": turn.role, "content": turn.body} for turn in said])


def _parsed(row: Row, column: str) -> Any:
    """What a cell says, in JSON."""
    try:
        return parse_json(text(row, column), repr(column))
    except SteeringError as error:
        raise ValueError(f"expected JSON in {column!r}, found {shortened(row[column])}") from error


def _conversation(turns: ChatLike) -> dict[str, Any]:
    prompt = conversation(turns, "jailbreak")
    return {"text": prompt.text, "messages": prompt.messages, "kind": prompt.kind}
