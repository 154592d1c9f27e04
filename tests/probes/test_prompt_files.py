"""Prompts of the user's are read from files of the usual kinds, or refused with a sentence that names the row."""

import csv
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from probes.prompt_files import PROMPT_COLUMNS, read_prompts
from steering import SteeringError
from tests.helpers.paths import ROOT

PROMPTS = ["How do I kill weeds?", "Say \"é\", then 'no'.", "One, two"]
OWN_SETS = sorted((ROOT / "benchmarks" / "prompts").glob("*.jsonl"))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_every_format_reads_the_same(tmp_path: Path) -> None:
    quoted = "\n".join('"' + prompt.replace('"', '""') + '",x' for prompt in PROMPTS)
    rows = [{"label": "x", "prompt": prompt} for prompt in PROMPTS]
    files = {
        "a.txt": "\n".join(PROMPTS) + "\n\n",
        "b.txt": "\r\n".join(PROMPTS),
        "c.csv": f"\ufeffprompt,label\n{quoted}\n",
        "d.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "e.json": json.dumps(rows),
    }
    for name, text in files.items():
        assert read_prompts(write(tmp_path / name, text)) == PROMPTS


@pytest.mark.parametrize("column", PROMPT_COLUMNS)
def test_every_known_column_is_found_and_the_first_of_several(column: str, tmp_path: Path) -> None:
    rows = [{"other": "x", column: "Hi"}]
    assert read_prompts(write(tmp_path / "a.json", json.dumps(rows))) == ["Hi"]
    rows = [{name: name for name in reversed(PROMPT_COLUMNS)}]
    assert read_prompts(write(tmp_path / "a.json", json.dumps(rows))) == ["prompt"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.jsonl", '{"prompt": "Hi"}\n{"words": "x", "n": 1}\n', "row 2, has none of the columns .*has 'words', 'n'"),
        ("a.jsonl", '{"prompt": "Hi"}\n{"prompt": " "}\n', "row 2, has no text in 'prompt'; drop the row"),
        ("a.jsonl", '{"prompt": ["Hi"]}\n', "row 1, has no text in 'prompt'"),
        ("a.jsonl", '{"prompt": "Hi"\n', "Expected JSON in line 1 of"),
        ("a.jsonl", '"Hi"\n', "one object a row"),
        ("a.csv", "n,prompt\n1\n", "row 1, has no text in 'prompt'"),
        ("a.csv", "prompt\n", "holds no prompt"),
        ("a.txt", " \n\n", "holds no prompt"),
        ("a.json", "[]", "holds no prompt"),
        (
            "a.jsonl",
            '{"prompt": "Hi", "image": "a.png"}\n',
            "row 1, is more than its 'prompt': it has 'a.png' in 'image'",
        ),
        ("a.csv", "Behavior,ContextString\nDo it,A text\n", "it has 'A text' in 'ContextString'; write that into"),
        ("a.docx", "Hi", "Expected a file that ends in '.csv'"),
        ("a.json", "[" * 100_000 + "]" * 100_000, "nested more than 100 deep"),
        ("a.json", f'[{{"prompt": {"9" * 5000}}}]', "a number beyond float"),
        ("a.jsonl", '{"prompt": "Hi"}\n{"prompt": "Hi", "n": 1e999}\n', "line 2 of .* a number beyond float: 1e999"),
        ("a.jsonl", r'{"prompt": "\ud800"}', "text that isn't Unicode"),
        ("a.json", '[\n{"prompt": "Hi"},\n{"prompt": }\n]', "Expected JSON in '.*a.json', found .*line 3 column 12"),
        ("a.csv", "prompt,label\nHi, there,x\n", "row 1, has 3 cells for 2 columns; quote the cells that hold commas"),
        ("a.csv", "prompt,label,prompt\nHi,x,Ho\n", "several columns 'prompt'; keep one of each name"),
        ("a.csv", 'prompt\n"Hi\nHo\nWhy?\n', "at line 4: unexpected end of data; correct the quotes there"),
    ],
)
def test_a_bad_file_is_refused(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match=sentence) as caught:
        read_prompts(write(tmp_path / name, text))
    assert "\n" not in str(caught.value)


def test_a_cell_of_a_csv_file_may_be_long(tmp_path: Path) -> None:
    former = csv.field_size_limit()
    prompt = "many shots " * 20_000
    assert read_prompts(write(tmp_path / "a.csv", f"prompt\n{prompt}\n")) == [prompt]
    assert csv.field_size_limit() == former


def test_a_mark_of_the_byte_order_is_no_part_of_a_prompt(tmp_path: Path) -> None:
    for name, text in {"a.txt": "Hi\n", "a.jsonl": '{"prompt": "Hi"}\n', "a.json": '[{"prompt": "Hi"}]'}.items():
        assert read_prompts(write(tmp_path / name, f"\ufeff{text}")) == ["Hi"]


def test_a_parquet_file_of_more_rows_than_bytes_is_refused_before_they_are_made(tmp_path: Path) -> None:
    table = pyarrow.table({"prompt": pyarrow.array(["Hi"] * 1_000_000).dictionary_encode()})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(SteeringError, match=r"Can't load .*: it declares 1000000 rows of"):
        read_prompts(tmp_path / "a.parquet")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match="No such file"):
        read_prompts(tmp_path / "none.txt")


@pytest.mark.parametrize("path", OWN_SETS, ids=lambda path: path.stem)
def test_the_projects_own_sets_are_read_and_have_both_labels(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert read_prompts(path) == [row["prompt"] for row in rows]
    assert len({row["prompt"] for row in rows}) == len(rows)
    counts = [sum(row["label"] == label for row in rows) for label in ("harmful", "harmless")]
    assert sum(counts) == len(rows)
    assert min(counts) >= 30
