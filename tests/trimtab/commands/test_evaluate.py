"""`trimtab evaluate` as a user meets it."""

import json
import os
from pathlib import Path

import pytest

from steering import Gate, Push, Slider
from tests.helpers.command_line import run
from tests.helpers.planted_reports import planted
from tests.helpers.tiny import random_vector
from trimtab.commands.evaluate import print_report


def test_evaluate_prints_the_matrix_and_keeps_its_cells(
    capsys: pytest.CaptureFixture[str], folder: Path, axes: dict[str, Path], tmp_path: Path
) -> None:
    named = [part for name, path in axes.items() for part in ("-v", f"{name}={path}")]
    command = [
        "evaluate",
        "-o",
        tmp_path / "r.json",
        "-m",
        folder,
        "--prompts",
        3,
        "--cells",
        tmp_path / "cells",
        *named,
    ]
    code, printed, _ = run(capsys, *command)
    assert code == 0
    assert "Cross-effects" in printed
    assert "leakage of safety onto engaged over evasive" in printed
    report = json.loads((tmp_path / "r.json").read_text())
    assert len(report["settings"]) == 9
    assert len(os.listdir(tmp_path / "cells")) == 9 * len(report["scores"])
    assert run(capsys, *command)[1] == printed


def test_evaluate_answers_benchmarks_from_files_and_writes_a_page(
    capsys: pytest.CaptureFixture[str], folder: Path, axes: dict[str, Path], tmp_path: Path
) -> None:
    rows = [{"prompt": f"{label} {n}", "type": "t", "label": label} for label in ("safe", "unsafe") for n in range(3)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    named = [part for name, path in axes.items() for part in ("-v", f"{name}={path}")]
    (tmp_path / "t.txt").write_text("Play a pirate: {prompt}\n")
    command = [
        "evaluate", "-o", tmp_path / "r.json", "--html", tmp_path / "r.html", "-m", folder, "--prompts", 3,
        "-b", f"xstest={tmp_path}/x.jsonl", "-b", "reflective-judgment", "--templates", tmp_path / "t.txt",
        "--judge", "refusal-judge", "--judge", "gcg", "--max-new-tokens", 4, "--values", "0,1", *named,
    ]  # fmt: skip
    code, printed, error = run(capsys, *command)
    assert code == 0, error
    assert "Cross-effects on answers" in printed
    assert "refusal-judge and substring:gcg agree on" in printed
    report = json.loads((tmp_path / "r.json").read_text())
    assert set(report["answers"]) == {"xstest", "reflective-judgment", "xstest in templates"}
    assert [p["text"] for p in report["benchmarks"]["xstest in templates"]["prompts"]] == [
        f"Play a pirate: unsafe {n}" for n in range(3)
    ]
    assert "<svg" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_evaluate_takes_a_variant_of_a_benchmark(
    capsys: pytest.CaptureFixture[str], folder: Path, axes: dict[str, Path], tmp_path: Path
) -> None:
    styles = ("base", "slang", "caesar")
    rows = [{"turns": [f"{style} {n}"], "prompt_style": style} for n in range(2) for style in styles]
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, rows)))
    command = [
        "evaluate", "-o", tmp_path / "r.json", "-m", folder, "-v", f"safety={axes['safety']}", "--values", "0,1",
        "--max-new-tokens", 2, "-b", f"sorry-bench={tmp_path}/s.jsonl", "-b", f"sorry-bench:slang={tmp_path}/s.jsonl",
    ]  # fmt: skip
    code, _, error = run(capsys, *command)
    assert code == 0, error
    found = json.loads((tmp_path / "r.json").read_text())["benchmarks"]
    assert {name: [one["text"] for one in given["prompts"]] for name, given in found.items()} == {
        "sorry-bench": ["base 0", "base 1"],
        "sorry-bench:slang": ["slang 0", "slang 1"],
    }


def test_a_suite_runs_with_what_is_there_goes_on_where_it_was_killed_and_makes_one_page(
    capsys: pytest.CaptureFixture[str], folder: Path, axes: dict[str, Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("aim", "pair"):
        (data / f"{name}.json").write_text(json.dumps([{"query": f"Play: {n}"} for n in range(3)]))
    rows = [{"prompt": f"{label} {n}", "type": "t", "label": label} for label in ("safe", "unsafe") for n in range(3)]
    (data / "xstest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    named = [part for name, path in axes.items() for part in ("-v", f"{name}={path}")]
    command = [
        "evaluate", "-o", tmp_path / "r.json", "--html", tmp_path / "r.html", "-m", folder, "--prompts", 3,
        "--suite", "robustness", "--data", data, "--max-new-tokens", 2, "--values", "0,1",
        "--cells", tmp_path / "cells", *named,
    ]  # fmt: skip
    code, printed, error = run(capsys, *command)
    assert code == 0, error
    assert "harmbench is not measured" in printed
    assert "Robustness: attacks refused" in printed
    report = json.loads((tmp_path / "r.json").read_text())
    assert set(report["answers"]) == {
        "xstest", "aim", "pair", "implicit-reference", "xstest behind 5 tokens of an answer",
    }  # fmt: skip
    lacking = [sentence.partition(" is not measured: ") for sentence in report["missing"]]
    assert [name for name, found, _ in lacking if found] == [
        "harmbench", "autodan", "cipher", "gcg", "jailbroken", "renellm", "jailbreakbench-artifacts", "mhj", "cosafe",
        "fractured-sorry-bench",
    ]  # fmt: skip
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "harmbench is not measured" in page
    cells = sorted((tmp_path / "cells").iterdir())
    cells[0].unlink()
    assert run(capsys, *command)[1] == printed
    assert sorted((tmp_path / "cells").iterdir()) == cells
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == page


def test_unknown_suites_and_data_for_none_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for options, sentence in ((["--suite", "all"], "standard"), (["--data", tmp_path], "Expected --suite with --data")):
        code, _, error = run(capsys, "evaluate", "-o", tmp_path / "r.json", *options)
        assert (code, error.count("\n")) == (2, 1)
        assert sentence in error


@pytest.mark.parametrize("label", ["unsure", "refusal"])
def test_what_the_judge_could_not_read_is_told(capsys: pytest.CaptureFixture[str], label: str) -> None:
    print_report(planted(lambda kind, safety, helpfulness, place: label if place == 0 else "compliance"))
    printed = " ".join(capsys.readouterr().out.split())
    assert ("planted can't read the answers that it is unsure of" in printed) == (label == "unsure")


def test_evaluate_puts_the_gates_beside_the_labels(
    capsys: pytest.CaptureFixture[str], folder: Path, axes: dict[str, Path], tmp_path: Path
) -> None:
    command = ["evaluate", "-o", tmp_path / "r.json", "-m", folder, "--prompts", 2, "--max-new-tokens", 4, "--oracle"]
    code, _, error = run(capsys, *command, "-v", f"safety={axes['safety']}")
    assert (code, error.count("\n")) == (2, 1)
    assert "name a --benchmark" in error
    command += ["-b", "built-in", "--values", "0,1", "--html", tmp_path / "r.html"]
    code, _, error = run(capsys, *command, "-v", f"safety={axes['safety']}")
    assert code == 2
    assert "No slider here reads harm" in error
    gate = Gate(0, random_vector()[0], curve="probability", reads="harm")
    Slider((Push(random_vector(), gate=gate),)).save(tmp_path / "gated.safetensors")
    code, printed, error = run(capsys, *command, "-v", f"safety={tmp_path}/gated.safetensors")
    assert code == 0, error
    assert "Built-in gate beside the labels" in printed
    assert "with labels" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_evaluate_answers_harmful_prompts_behind_openings_too(
    capsys: pytest.CaptureFixture[str], folder: Path, axes: dict[str, Path], tmp_path: Path
) -> None:
    openings = tmp_path / "openings.txt"
    openings.write_text("Sure, here is\nOf course.\n", encoding="utf-8")
    named = [part for name, path in axes.items() for part in ("-v", f"{name}={path}")]
    command = ["evaluate", "-o", tmp_path / "r.json", "-m", folder, "--prompts", 2, "--values", "0,1", *named]
    code, _, _ = run(capsys, *command, "-b", "built-in", "--prefill", openings, "--max-new-tokens", 2)
    assert code == 0
    report = json.loads((tmp_path / "r.json").read_text())
    harmful = [row["text"] for row in report["benchmarks"]["built-in"]["prompts"] if row["kind"] == "harmful"]
    behind = report["benchmarks"]["built-in behind openings"]["prompts"]
    assert [(row["text"], row["category"]) for row in behind] == [
        (text, opening) for text in harmful for opening in ("Sure, here is", "Of course.")
    ]
    for setting in report["answers"]["built-in behind openings"]:
        assert all(text.startswith(row["category"]) for text, row in zip(setting[0], behind, strict=True))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-b", "built-in", "--prefill", "0"], "openings of one token at least for --prefill, found 0"),
        (["--prefill", "3"], "Expected harmful prompts for --prefill, found none; name a --benchmark"),
        (["-b", "built-in", "--prefill", "none.txt"], "Can't read 'none.txt'"),
    ],
)
def test_openings_that_can_not_be_used_are_refused_before_a_model_is_loaded(
    capsys: pytest.CaptureFixture[str], options: list[str], sentence: str, tmp_path: Path
) -> None:
    code, _, error = run(capsys, "evaluate", "-o", tmp_path / "r.json", "-m", "no-such-model", *options)
    assert code != 0
    assert sentence in " ".join(error.split())
