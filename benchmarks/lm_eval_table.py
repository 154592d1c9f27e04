"""Standard abilities at four settings of a pair of sliders, by lm-evaluation-harness: the table in docs/balanced.md.

    TRIMTAB_LM_EVAL_PYTHON benchmarks/lm_eval_table.py smollm2-135m-instruct vectors/smollm2-135m-instruct ROWS 100

Run by a Python that has lm_eval and Trimtab. ROWS is a folder with rows as the Hub has them: `mmlu.jsonl` (cais/mmlu,
`all`, test), `arc_challenge.jsonl` (allenai/ai2_arc, ARC-Challenge, test), `truthfulqa_mc2.jsonl`
(truthfulqa/truthful_qa, multiple_choice, validation) and `hellaswag.jsonl` (Rowan/hellaswag, validation); so many of
each are taken, spread over the file. Prompts, choices and metrics are the harness's own, without examples, in the chat
template that gates were taught on.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import lm_eval
import torch
from lm_eval.tasks import TaskManager

import probes.lm_eval  # noqa: F401  (puts `trimtab` where the harness finds it)
from steering import load

TASKS = {
    "mmlu": ("mmlu/default/_default_template_yaml", "test_split"),
    "arc_challenge": ("arc/arc_challenge.yaml", "test_split"),
    "truthfulqa_mc2": ("truthfulqa/truthfulqa_mc2.yaml", "validation_split"),
    "hellaswag": ("hellaswag/hellaswag.yaml", "validation_split"),
}
"""The harness's file of each, and which of its splits the rows stand for."""
SETTINGS = [{"safety": s, "helpfulness": h} for s, h in ((0, 0), (1, 0), (0, 1), (1, 1))]


def local_task(name: str, rows: Path) -> dict[str, Any]:
    """The harness's task on a local file, without examples in the prompt."""
    definition, split = TASKS[name]
    no_other = dict.fromkeys(("training_split", "validation_split", "test_split", "fewshot_split", "dataset_name"))
    return {
        "include": str(Path(lm_eval.tasks.__file__).parent / definition),
        "task": f"local_{name}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"rows": str(rows)}},
        "num_fewshot": 0,
        **no_other,
        split: "rows",
    }


def spread(rows: Path, count: int) -> list[int]:
    """So many row numbers of a file, evenly apart; all of them where it has fewer."""
    available = sum(1 for line in rows.read_text(encoding="utf-8").splitlines() if line)
    return [number * available // count for number in range(count)] if count < available else [*range(available)]


def main(model: str, sliders: str, rows: Path, count: int) -> None:
    """Print the table, as Markdown."""
    folder = load(model).model.config.name_or_path
    files = {name: rows / f"{name}.jsonl" for name in TASKS}
    with tempfile.TemporaryDirectory() as tasks:
        for name, file in files.items():
            (Path(tasks) / f"{name}.yaml").write_text(json.dumps(local_task(name, file.resolve())))
        found = [
            lm_eval.simple_evaluate(
                model="trimtab",
                model_args={"pretrained": folder, "sliders": sliders, "dtype": "float32", **setting},
                tasks=[f"local_{name}" for name in TASKS],
                task_manager=TaskManager(include_path=tasks, include_defaults=False),
                samples={f"local_{name}": spread(file, count) for name, file in files.items()},
                batch_size=8,
                device="cuda" if torch.cuda.is_available() else "cpu",
                apply_chat_template=True,
                bootstrap_iters=0,
            )["results"]
            for setting in SETTINGS
        ]
    print(f"| task, {count} rows | " + " | ".join(f"({s['safety']}, {s['helpfulness']})" for s in SETTINGS) + " |")
    print("|---" * (1 + len(SETTINGS)) + "|")
    for name in TASKS:
        print(f"| {name} | " + " | ".join(f"{100 * one[f'local_{name}']['acc,none']:.1f} %" for one in found) + " |")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
