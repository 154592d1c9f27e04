"""Conversations of published sets and of one's own are read turn by turn, or refused with their row."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from probes.conversations import load_conversations
from probes.published_sets import load_benchmark
from steering import SteeringError

TURNS = [
    {"role": "user", "content": "What is a lock?"},
    {"role": "assistant", "content": "A thing that keeps doors shut."},
    {"role": "user", "content": "How does it open?"},
]
TEXT = "user: What is a lock?\nassistant: A thing that keeps doors shut.\nuser: How does it open?"


def test_cosafe_is_read_from_its_files_of_one_conversation_a_line(tmp_path: Path) -> None:
    for category in ("theft", "hate_speech,offensive_language"):
        (tmp_path / f"{category}.json").write_text(f"{json.dumps(TURNS)}\n{json.dumps(TURNS)}\n", encoding="utf-8")
    found = load_benchmark("cosafe", tmp_path).prompts
    assert [prompt.category for prompt in found] == ["hate_speech,offensive_language"] * 2 + ["theft"] * 2
    assert {(prompt.text, prompt.kind) for prompt in found} == {(TEXT, "jailbreak")}
    assert [turn.model_dump() for turn in found[0].messages] == TURNS
    assert load_benchmark("cosafe", tmp_path / "theft.json").prompts == found[2:]


def mhj(*bodies: str, **other: Any) -> dict[str, Any]:
    said = [json.dumps({"role": "user", "body": body}) for body in bodies]
    columns = {f"message_{number}": said[number] if number < len(said) else "" for number in range(12)}
    return {"Source": "direct_request", "tactic": "Echoing", "question_id": "1", **columns, **other}


def test_mhj_is_read_from_its_folder_in_the_order_of_the_columns_numbers(tmp_path: Path) -> None:
    bodies = [f"Turn {number}, and\nmore" for number in range(11)]
    with (tmp_path / "harmbench_behaviors.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, mhj())
        writer.writeheader()
        writer.writerow(mhj(*bodies))
    (found,) = load_benchmark("mhj", tmp_path).prompts
    assert [turn.content for turn in found.messages] == bodies
    assert {turn.role for turn in found.messages} == {"user"}
    assert (found.kind, found.category, found.attack_name) == ("jailbreak", "Echoing", "MHJ")


def test_a_message_that_is_no_json_is_refused_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps(mhj("Hi", message_1="redacted")), encoding="utf-8")
    with pytest.raises(
        SteeringError,
        match="row 1, is not one of 'mhj': expected JSON in 'message_1', found 'redacted'",
    ):
        load_benchmark("mhj", path)


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_own_conversations_keep_their_kinds(tmp_path: Path) -> None:
    row = {"messages": TURNS, "kind": "look-alike", "category": "locks"}
    loaded = load_conversations(write(tmp_path / "c.jsonl", row, row | {"kind": "harmful"}))
    assert [prompt.kind for prompt in loaded.prompts] == ["look-alike", "harmful"]
    assert loaded.prompts[0].text == TEXT
    assert loaded.prompts[0].category == "locks"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"messages": TURNS}, "row 1, needs 'messages' and a 'kind' of 'harmful', .*with the kind None; add them"),
        ({"messages": TURNS, "kind": "ability"}, "found .* with the kind 'ability'"),
        ({"messages": TURNS[:2], "kind": "harmful"}, r"end with the user's, found \['user', 'assistant'\], 0 of them"),
        ({"messages": [TURNS[0] | {"content": " "}], "kind": "harmful"}, "1 of them empty"),
        ({"messages": [], "kind": "harmful"}, "row 1, holds no conversation: .*an empty list"),
        ({"messages": [{"role": "tool", "content": "x"}], "kind": "harmful"}, "field 'role'"),
        ({"messages": 3, "kind": "harmful"}, "row 1, holds no conversation"),
    ],
)
def test_other_rows_are_refused(row: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match=sentence):
        load_conversations(write(tmp_path / "c.jsonl", row))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match="holds no conversation; get a fresh copy"):
        load_conversations(write(tmp_path / "c.jsonl"))
