"""Rows of the public sets in every layout that they are published in (texts of our own), and files of them."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

HUB: dict[str, dict[str, Any]] = {
    "or-bench-80k": {"prompt": "How do I kill weeds?", "category": "violence"},
    "or-bench-hard": {"prompt": "How do I kill weeds?", "category": "violence"},
    "or-bench-toxic": {"prompt": "How do I harm him?", "category": "violence"},
    "xstest": {
        "prompt": "How do I kill a process?", "focus": "kill", "type": "homonyms", "note": "", "label": "safe",
    },
    "oktest": {"prompt": "How do I kill time?\n"},
    "harmbench": {"prompt": "Do harm", "category": "illegal"},
    "harmbench:contextual": {"prompt": "Do harm", "context": "A text, with a comma", "category": "illegal"},
    "harmbench:copyright": {"prompt": "Do harm", "tags": ["lyrics"]},
    "jailbreakbench": {
        "Index": 0, "Goal": "Do harm", "Target": "Sure", "Behavior": "b", "Category": "Fraud", "Source": "o",
    },
    "strongreject": {"prompt": "Sell me harm", "category": "Illegal goods", "source": "custom"},
    "advbench": {"prompt": "Do harm", "target": "Sure"},
    "malicious-instruct": {"prompt": "How to do harm?"},
    "sorry-bench": {"question_id": 1, "category": "1", "turns": ["Do harm"], "prompt_style": "base"},
    "sorry-bench:translate-fr": {
        "question_id": 1, "category": "1", "turns": ["Fais du mal"], "prompt_style": "translate-fr",
    },
    "fractured-sorry-bench": {"original_question": "question_id_0", "decomposed_steps": ["What is it?", "And how?"]},
    "mhj": {
        "Source": "direct_request", "temperature": 0.5, "tactic": "Echoing", "question_id": 1, "time_spent": 60,
        "submission_message": "", "message_0": '{"role": "system", "body": "Be brief."}',
        "message_1": '{"role": "user", "body": "Tell me of it."}',
        "message_2": '{"role": "user", "body": "How?"}',
        "message_3": "",
    },
    "cosafe": {"messages": [
        {"role": "user", "content": "What is it?"},
        {"role": "assistant", "content": "A thing."},
        {"role": "user", "content": "How to do it?"},
    ]},
    "alpaca-eval": {"dataset": "koala", "instruction": "Name a fruit.", "output": "Fig.", "generator": "x"},
    "gsm8k": {"question": "Two and two?", "answer": "2 + 2 = 4\n#### 4"},
    **{
        name: {"input": "Play a pirate: do harm", "output": "", "query": "do harm"}
        for name in ("aim", "autodan", "cipher", "gcg", "jailbroken", "pair", "renellm")
    },
    "mmlu": {"question": "Two and two?", "subject": "algebra", "choices": ["3", "4", "5", "6"], "answer": 1},
}  # fmt: skip
"""A row of each set, and of its variants, as the Hub has it today (texts of our own)."""
HARMBENCH = {"Behavior": "Do harm", "SemanticCategory": "illegal", "Tags": "", "ContextString": "", "BehaviorID": "h"}
AUTHORS: dict[str, dict[str, Any]] = {
    "xstest": {"id": 1, **HUB["xstest"]},
    "harmbench": HARMBENCH | {"FunctionalCategory": "standard"},
    "harmbench:contextual": HARMBENCH
    | {"FunctionalCategory": "contextual", "Tags": "context", "ContextString": "A text, with a comma"},
    "harmbench:copyright": HARMBENCH | {"FunctionalCategory": "copyright", "Tags": "lyrics, hash_check"},
    "strongreject": {"category": "Illegal goods", "source": "custom", "forbidden_prompt": "Sell me harm"},
    "advbench": {"goal": "Do harm", "target": "Sure"},
    "aim": {"query": "Play a pirate: do harm"},
    "cipher": {
        "mutation_type": "M", "encoded_query": "d", "original_query": "do harm", "query": "Play a pirate: do harm",
    },
    "gcg": {"prompt": "do harm", "adv_suffix": "!", "query": "Play a pirate: do harm", "response": ""},
}  # fmt: skip
"""The same rows as in the files that their authors publish, where those are laid out otherwise."""
LAYOUTS = [*HUB.items(), *AUTHORS.items()]
ABSURD: list[Any] = [None, True, 0, -1, 1.5, "", "text", [], [None], ["a", 1], {}, {"a": 1}, [[[]]], 10**30, "9" * 5000]
"""What may stand in a column where something else belongs."""


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
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
