"""Run by a Python that has lm-evaluation-harness: what models of its own and `trimtab` answer to small local tasks.

`lm_eval_scores.py RUNS.json TASK_FOLDER OUT.json`: RUNS is a list of `{"model": …, "model_args": …, "tasks": […],
"batch_size": …}`. For each run: by task, for each document, the response to each of its requests, or the run's error.
"""

import json
import sys
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.tasks import TaskManager

import probes.lm_eval  # noqa: F401  (puts the model where the harness finds it)

runs, folder, out = map(Path, sys.argv[1:])
tasks = TaskManager(include_path=folder, include_defaults=False)


def responses(run: dict[str, Any]) -> dict[str, Any] | str:
    arguments = {"dtype": "float32", "device": "cpu"} | run["model_args"]
    try:
        results = lm_eval.simple_evaluate(
            **run | {"model_args": arguments}, task_manager=tasks, bootstrap_iters=0, num_fewshot=0
        )
    except (ValueError, TypeError) as error:
        return str(error)
    return {
        task: [sample["resps"] for sample in sorted(samples, key=lambda sample: sample["doc_id"])]
        for task, samples in results["samples"].items()
    }


out.write_text(json.dumps([responses(run) for run in json.loads(runs.read_text())]))
