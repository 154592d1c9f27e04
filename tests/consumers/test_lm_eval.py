"""lm-evaluation-harness finds what the hooks give: its model `steered` with our file, and ours, `trimtab`."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from steering import Dial, Gate, LanguageModel, Push, Slider, Sliders, to_hub_folder
from steering.formats import FixedSliders
from steering.formats.lm_eval import to_lm_eval
from tests.helpers.elsewhere import python_with, run
from tests.helpers.paths import ROOT
from tests.helpers.tiny import WIDTH, random_vector, save_folder, tiny_lm

QUESTIONS = [
    {"question": "Is the sky blue?", "choices": [" yes", " no, it is green"], "label": 0},
    {"question": "Do stones sing?", "choices": [" they do", " no"], "label": 1},
    {"question": "Is two more than one, would you say?", "choices": [" of course", " never"], "label": 0},
    {"question": "AB or CD? ", "choices": ["A", "B"], "label": 0},
]
PARTED = [
    {"question": "ab", "choices": ["cdX", "cdY"], "label": 0},
    {"question": "abcd", "choices": ["X", "Y"], "label": 0},
    {"question": "abc", "choices": ["dX", "dYZ"], "label": 0},
]
"""The same tokens in the rows that the harness makes, parted otherwise."""
CHOICE = {
    "output_type": "multiple_choice", "doc_to_text": "{{question}}", "doc_to_choice": "choices",
    "doc_to_target": "label", "target_delimiter": "", "metric_list": [{"metric": "acc"}],
}  # fmt: skip
TASKS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "choice": (QUESTIONS, CHOICE),
    "parted": (PARTED, CHOICE),
    "written": (QUESTIONS, {
        "output_type": "generate_until", "doc_to_text": "{{question}}", "doc_to_target": "",
        "generation_kwargs": {"until": ["Q"], "max_gen_toks": 12, "do_sample": False},
        "metric_list": [{"metric": "bypass"}],
    }),
    "whole": (QUESTIONS, {
        "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{question}}",
        "metric_list": [{"metric": "bits_per_byte"}],
    }),
    "unprompted": (QUESTIONS, CHOICE | {"doc_to_text": ""}),
}  # fmt: skip


@pytest.fixture(scope="module")
def python() -> str:
    return python_with("lm_eval", "lm_eval==0.4.13", "TRIMTAB_LM_EVAL_PYTHON")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Local task files of the harness, which reads JSON as YAML."""
    folder = tmp_path_factory.mktemp("tasks")
    for task, (rows, settings) in TASKS.items():
        file = folder / f"{task}.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)))
        data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(file)}}, "test_split": "test"}
        (folder / f"{task}.yaml").write_text(json.dumps({"task": task} | data | settings))
    return folder


@pytest.fixture(scope="module")
def harness(python: str, tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Any]]:
    """What the harness finds in some runs, all in one process."""

    def results(*runs: dict[str, Any]) -> list[Any]:
        folder = tmp_path_factory.mktemp("runs")
        (folder / "runs.json").write_text(json.dumps(runs, default=str))
        run(python, "lm_eval_scores.py", folder / "runs.json", tasks, folder / "out.json")
        found: list[Any] = json.loads((folder / "out.json").read_text())
        return found

    return results


def gated(seed: int, tokens: str) -> Slider:
    direction = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(seed))
    gate = Gate(layer=0, direction=direction, curve="probability", tokens=(1, 2))
    return Slider((Push(random_vector(seed, (1, 2)), gate=gate, tokens=tokens),))


SLIDERS = Sliders(
    gated=gated(1, "answer"),
    prompting=gated(2, "prompt"),
    writing=Slider((Push(random_vector(3, (2, 3)), intervention="add_keeping_norm", tokens="generated"),)),
    plain=random_vector(4, (1, 2), scale=1.0),
)
VALUES = {"gated": 1.0, "prompting": -0.5, "writing": 0.5, "plain": -1}


@torch.inference_mode()
def log_likelihood(lm: LanguageModel, dial: Dial, context: str, continuation: str) -> float:
    start = len(lm.tokenizer(context.rstrip()).input_ids)  # spaces at the end go to the continuation, as in the harness
    ids = lm.tokenizer(context + continuation, return_tensors="pt").input_ids
    with dial.prompt_lengths([start]):
        scores = lm.model(input_ids=ids).logits[0].log_softmax(-1)
    return float(sum(scores[place - 1, ids[0, place]] for place in range(start, ids.shape[1])))


def log_likelihoods(lm: LanguageModel, dial: Dial, rows: list[dict[str, Any]]) -> list[list[float]]:
    """Of each document's choices, each in a pass of its own."""
    return [[log_likelihood(lm, dial, row["question"], choice) for choice in row["choices"]] for row in rows]


def written(lm: LanguageModel, question: str) -> str:
    ids = lm.tokenizer(question, return_tensors="pt").input_ids
    new = lm.model.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    return str(lm.tokenizer.decode(new, skip_special_tokens=True)).partition("Q")[0]


def numbers(responses: list[Any]) -> list[list[float]]:
    """The log-likelihoods in the responses to a task of choices."""
    return [[float(response[0][0]) for response in document] for document in responses]


def assert_close(found: list[list[float]], expected: list[list[float]]) -> None:
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_trimtab_finds_what_the_hooks_give_and_at_zero_what_hf_finds(
    family: str, harness: Callable[..., list[Any]], tmp_path: Path
) -> None:
    lm = tiny_lm(family)
    hf = {"pretrained": save_folder(lm, tmp_path / "model")}
    to_hub_folder(SLIDERS, tmp_path / "sliders")
    ours = hf | {"sliders": tmp_path / "sliders"}
    prompted = ["choice", "parted", "written"]
    every = [*prompted, "whole", "unprompted"]
    bare, at_zero, plain, *steered = harness(
        {"model": "hf", "model_args": hf, "tasks": every, "batch_size": 3},
        {"model": "trimtab", "model_args": ours, "tasks": every, "batch_size": 3},
        {"model": "trimtab", "model_args": ours | {"plain": 1}, "tasks": ["whole", "unprompted"], "batch_size": 3},
        *({"model": "trimtab", "model_args": ours | VALUES, "tasks": prompted, "batch_size": n} for n in (1, 2, 8)),
        {"model": "trimtab", "model_args": ours | VALUES, "tasks": ["choice"], "batch_size": "auto"},
    )
    assert at_zero == bare
    assert numbers(plain["unprompted"]) != numbers(bare["unprompted"])

    with SLIDERS.attach(lm) as dial:
        unmoved = log_likelihoods(lm, dial, QUESTIONS), [written(lm, row["question"]) for row in QUESTIONS]
        dial.set(**VALUES)
        likelihoods = {"choice": log_likelihoods(lm, dial, QUESTIONS), "parted": log_likelihoods(lm, dial, PARTED)}
        texts = [written(lm, row["question"]) for row in QUESTIONS]
    assert texts != unmoved[1]
    moved_by = [
        abs(a - b) for one in zip(likelihoods["choice"], unmoved[0], strict=True) for a, b in zip(*one, strict=True)
    ]
    assert min(moved_by) > 1e-2
    for found in steered:
        for task in likelihoods.keys() & found:
            assert_close(numbers(found[task]), likelihoods[task])
        if "written" in found:
            assert [document[0][0] for document in found["written"]] == texts


def test_what_trimtab_can_not_know_is_refused(harness: Callable[..., list[Any]], tmp_path: Path) -> None:
    model = {"pretrained": save_folder(tiny_lm(), tmp_path / "model")}
    to_hub_folder(SLIDERS, tmp_path / "sliders")
    to_hub_folder(Sliders(dtype=random_vector()), tmp_path / "taken")
    ours = model | {"sliders": tmp_path / "sliders"}
    errors = harness(
        {"model": "trimtab", "model_args": ours | {"gated": 1}, "tasks": ["whole"]},
        {"model": "trimtab", "model_args": ours | {"writing": 1}, "tasks": ["unprompted"]},
        {"model": "trimtab", "model_args": ours | {"plain": "much"}, "tasks": ["choice"]},
        {"model": "trimtab", "model_args": model | {"sliders": tmp_path / "taken"}, "tasks": ["choice"]},
        {"model": "trimtab", "model_args": ours | {"gatde": 1}, "tasks": ["choice"]},
    )
    for error, said in zip(
        errors,
        ("of 'gated' go, found one that scores whole texts", "of 'writing' go, found one that scores continuations of",
         "a number for slider 'plain', found 'much'", "found 'dtype', which lm-evaluation-harness takes",
         "out of 'gated', 'prompting', 'writing', 'plain', or arguments of lm-evaluation-harness, found 'gatde'"),
        strict=True,
    ):  # fmt: skip
        assert said in error


def test_the_harness_own_command_runs_behind_ours(python: str, tasks: Path, tmp_path: Path) -> None:
    folder = save_folder(tiny_lm(), tmp_path / "model")
    to_hub_folder(SLIDERS, tmp_path / "sliders")
    arguments = f"pretrained={folder},sliders={tmp_path / 'sliders'},gated=1,plain=-0.5,dtype=float32"
    ended = subprocess.run(
        [python, "-m", "probes.lm_eval", "--model", "trimtab", "--model_args", arguments, "--tasks", "choice",
         "--include_path", tasks, "--device", "cpu", "--batch_size", "2"],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "|choice|" in ended.stdout


ROWS = {
    "mmlu": {"question": "What is {0} + 1?", "subject": "sums", "choices": ["1", "2", "3", "4"], "answer": 1},
    "arc_challenge": {
        "id": "a", "question": "What falls {0} times?", "answerKey": "B",
        "choices": {"text": ["stones", "rain"], "label": ["A", "B"]},
    },
    "truthfulqa_mc2": {
        "question": "Do {0} stones sing?",
        "mc1_targets": {"choices": ["No", "Yes"], "labels": [1, 0]},
        "mc2_targets": {"choices": ["No", "They don't", "Yes"], "labels": [1, 1, 0]},
    },
    "hellaswag": {
        "ind": 1, "activity_label": "Painting", "ctx_a": "A man takes {0} brushes.", "ctx_b": "he", "ctx": "",
        "endings": ["paints.", "sleeps.", "sings.", "runs."], "label": "0", "split": "val", "source_id": "x",
    },
}  # fmt: skip
"""Invented rows in the layouts of the Hub."""


def test_the_table_of_abilities_is_made_from_rows_laid_out_as_the_hubs(python: str, tmp_path: Path) -> None:
    for name, row in ROWS.items():
        lines = [json.dumps(row).replace("{0}", str(number)) for number in range(5)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    folder = save_folder(tiny_lm(max_position_embeddings=2048), tmp_path / "model")
    to_hub_folder(Sliders(safety=SLIDERS["gated"], helpfulness=SLIDERS["writing"]), tmp_path / "sliders")
    script = ROOT / "benchmarks" / "lm_eval_table.py"
    printed = run(python, script, folder, tmp_path / "sliders", tmp_path, 3)
    head, _, *lines = printed.strip().splitlines()[-6:]
    assert head == "| task, 3 rows | (0, 0) | (1, 0) | (0, 1) | (1, 1) |"
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == list(ROWS)


@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_the_harness_model_steered_finds_the_log_likelihoods_of_the_hooks(
    family: str, harness: Callable[..., list[Any]], tmp_path: Path
) -> None:
    lm = tiny_lm(family)
    sliders = Sliders(a=random_vector(1, (1, 2)), b=random_vector(2, (2, 3)))
    values = {"a": 1.0, "b": -0.5}
    to_lm_eval(FixedSliders(sliders, values), tmp_path / "x.pt", None if family == "Llama" else "h")
    arguments = {"pretrained": save_folder(lm, tmp_path / "model"), "steer_path": tmp_path / "x.pt"}
    (found,) = harness({"model": "steered", "model_args": arguments, "tasks": ["choice"], "batch_size": 4})
    with sliders.attach(lm) as dial:
        bare = torch.tensor(log_likelihoods(lm, dial, QUESTIONS))
        dial.set(**values)
        steered = torch.tensor(log_likelihoods(lm, dial, QUESTIONS))
    assert (steered - bare).abs().max() > 0.1
    torch.testing.assert_close(torch.tensor(numbers(found["choice"])), steered, rtol=0, atol=1e-4)
