"""Run by a Python that has lm-evaluation-harness: log-likelihoods of a small local task under its model `steered`.

`lm_eval_scores.py MODEL_FOLDER STEER.pt TASK_FOLDER OUT.json`: for each document, the log-likelihood of each choice.
"""

import json
import sys
from pathlib import Path

import lm_eval
from lm_eval.tasks import TaskManager

model, steering, tasks, out = sys.argv[1:]
results = lm_eval.simple_evaluate(
    model="steered",
    model_args={"pretrained": model, "steer_path": steering, "dtype": "float32", "device": "cpu"},
    tasks=["toy"],
    task_manager=TaskManager(include_path=tasks),
    batch_size=4,
    bootstrap_iters=0,
)
samples = sorted(results["samples"]["toy"], key=lambda sample: sample["doc_id"])
scores = [[float(response[0][0]) for response in sample["resps"]] for sample in samples]
Path(out).write_text(json.dumps(scores))
