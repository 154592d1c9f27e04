"""lm-evaluation-harness, `--model steered` with our file, finds the log-likelihoods that the hooks give."""

import json
from pathlib import Path

import pytest
import torch

from steering import LanguageModel, Sliders
from steering.formats import FixedSliders
from steering.formats.lm_eval import to_lm_eval
from tests.helpers.elsewhere import python_with, run
from tests.helpers.tiny import random_vector, save_folder, tiny_lm

QUESTIONS = [
    {"question": "Is the sky blue?", "choices": ["yes", "no, it is green"], "label": 0},
    {"question": "Do stones sing?", "choices": ["they do", "no"], "label": 1},
    {"question": "Is two more than one, would you say?", "choices": ["of course", "never"], "label": 0},
]
TASK = """\
task: toy
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{file}"}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: choices
doc_to_target: label
metric_list: [{{metric: acc}}]
"""


@pytest.fixture(scope="module")
def python() -> str:
    return python_with("lm_eval", "lm_eval==0.4.13", "TRIMTAB_LM_EVAL_PYTHON")


@torch.inference_mode()
def log_likelihood(lm: LanguageModel, context: str, continuation: str) -> float:
    start = len(lm.tokenizer(context).input_ids)
    ids = lm.tokenizer(context + continuation, return_tensors="pt").input_ids
    scores = lm.model(input_ids=ids).logits[0].log_softmax(-1)
    return float(sum(scores[place - 1, ids[0, place]] for place in range(start, ids.shape[1])))


@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_the_harness_finds_the_log_likelihoods_of_the_hooks(family: str, python: str, tmp_path: Path) -> None:
    lm = tiny_lm(family)
    folder = save_folder(lm, tmp_path / "model")
    sliders = Sliders(a=random_vector(1, (1, 2)), b=random_vector(2, (2, 3)))
    values = {"a": 1.0, "b": -0.5}
    to_lm_eval(FixedSliders(sliders, values), tmp_path / "x.pt", None if family == "Llama" else "h")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "toy.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)))
    (tmp_path / "tasks" / "toy.yaml").write_text(TASK.format(file=tmp_path / "toy.jsonl"))
    run(python, "lm_eval_scores.py", folder, tmp_path / "x.pt", tmp_path / "tasks", tmp_path / "out.json")
    found = torch.tensor(json.loads((tmp_path / "out.json").read_text()))

    def expected() -> torch.Tensor:
        rows = [
            [log_likelihood(lm, f"Question: {entry['question']}\nAnswer:", f" {choice}") for choice in entry["choices"]]
            for entry in QUESTIONS
        ]
        return torch.tensor(rows)

    bare = expected()
    with sliders.attach(lm) as dial:
        dial.set(**values)
        steered = expected()
    assert (steered - bare).abs().max() > 0.1
    torch.testing.assert_close(found, steered, rtol=0, atol=1e-4)
