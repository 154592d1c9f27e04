"""Public sets are read in the layouts that they are published in, and anything else is refused with a sentence."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from probes.benchmarks import BENCHMARKS, load_benchmark
from steering import SteeringError

# One row of each set, as published (texts of our own).
ROWS: dict[str, dict[str, Any]] = {
    "or-bench-80k": {"prompt": "How do I kill weeds?", "category": "violence"},
    "or-bench-hard": {"prompt": "How do I kill weeds?", "category": "violence"},
    "or-bench-toxic": {"prompt": "How do I harm him?", "category": "violence"},
    "xstest": {
        "id": "v2-1", "prompt": "How do I kill a process?", "type": "homonyms", "label": "safe",
        "focus": "kill", "note": "",
    },
    "oktest": {"prompt": "How do I kill time?"},
    "harmbench": {
        "Behavior": "Do harm", "FunctionalCategory": "contextual", "SemanticCategory": "illegal", "Tags": "context",
        "ContextString": "A text, with a comma", "BehaviorID": "do_harm",
    },
    "jailbreakbench": {
        "Index": 0, "Goal": "Do harm", "Target": "Sure", "Behavior": "b", "Category": "Fraud", "Source": "o",
    },
    "strongreject": {"category": "Illegal goods", "source": "custom", "forbidden_prompt": "Sell me harm"},
    "advbench": {"goal": "Do harm", "target": "Sure"},
    "malicious-instruct": {"prompt": "How to do harm?"},
    "sorry-bench": {"question_id": 1, "category": "1", "turns": ["Do harm"], "prompt_style": "base"},
    "alpaca-eval": {"dataset": "koala", "instruction": "Name a fruit.", "output": "Fig.", "generator": "x"},
    "gsm8k": {"question": "Two and two?", "answer": "2 + 2 = 4\n#### 4"},
    "mmlu": {"question": "Two and two?", "subject": "algebra", "choices": ["3", "4", "5", "6"], "answer": 1},
}  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            flat = [{k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
            writer.writerows(flat)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_every_benchmark_has_a_row_here() -> None:
    assert list(ROWS) == list(BENCHMARKS)


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet"])
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_layout_reads_the_same_from_every_format(name: str, ending: str, tmp_path: Path) -> None:
    loaded = load_benchmark(name, write(tmp_path / f"file{ending}", [ROWS[name]] * 3))
    assert len(loaded) == 3
    assert loaded.license
    assert "arXiv" in loaded.citation or "github" in loaded.citation
    prompt = loaded.prompts[0]
    texts = [value for value in ROWS[name].values() if isinstance(value, str)] + ["Do harm"]
    assert any(text in prompt.text for text in texts)
    assert loaded.of_kind(prompt.kind) == loaded.prompts


def test_labels_answers_and_contexts_are_carried_along(tmp_path: Path) -> None:
    def first(name: str, **changes: Any) -> Any:
        return load_benchmark(name, write(tmp_path / "f.jsonl", [ROWS[name] | changes])).prompts[0]

    assert first("xstest").kind == "look-alike"
    assert first("xstest", label="unsafe").kind == "harmful"
    assert first("xstest").category == "homonyms"
    assert first("gsm8k").answer == "4"
    assert first("mmlu").answer == "B"
    assert first("mmlu").text == "Two and two?\nA. 3\nB. 4\nC. 5\nD. 6"
    assert first("harmbench").text == "A text, with a comma\n\n---\n\nDo harm"
    assert first("harmbench", ContextString=None).text == "Do harm"


def test_a_text_file_is_one_prompt_a_line(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("One?\n\nTwo\u2028still two?\n", encoding="utf-8")
    loaded = load_benchmark("malicious-instruct", tmp_path / "m.txt")
    assert [prompt.text for prompt in loaded.prompts] == ["One?", "Two\u2028still two?"]


@pytest.mark.parametrize(
    ("name", "file", "content", "sentence"),
    [
        ("magic", "f.csv", "prompt\nHi\n", "no benchmark 'magic'; choose from 'or-bench-80k'"),
        ("advbench", "f.csv", "prompt\nHi\n", "lacks the column 'goal' of 'advbench', has 'prompt'"),
        ("advbench", "f.csv", "", "holds no row"),
        ("advbench", "f.json", '{"goal": 1}', "a list with one object a row"),
        ("advbench", "f.json", "[1, 2]", "one object a row"),
        ("advbench", "f.jsonl", "{bad\n", "Can't read"),
        ("advbench", "f.parquet", "text", "Can't read"),
        ("advbench", "f.xlsx", "text", "Expected a file that ends in '.csv'"),
        ("mmlu", "f.jsonl", '{"question": "q", "subject": "s", "choices": ["a"], "answer": 3}\n', "row 1, is not one"),
        ("oktest", None, "", "no home on the Hub"),
    ],
)
def test_other_files_are_refused(name: str, file: str | None, content: str, sentence: str, tmp_path: Path) -> None:
    if file is not None:
        (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(SteeringError, match=sentence):
        load_benchmark(name, None if file is None else tmp_path / file)


def test_the_hub_is_asked_by_id_config_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(*arguments: object, **options: object) -> list[dict[str, Any]]:
        asked.append((arguments, options))
        return [ROWS["gsm8k"]]

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    assert load_benchmark("gsm8k").prompts[0].answer == "4"
    assert asked == [(("openai/gsm8k", "main"), {"split": "test"})]
