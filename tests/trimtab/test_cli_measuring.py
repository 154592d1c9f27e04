"""The commands that measure, as a user meets them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from steering import SteeringVector
from tests.helpers.command_line import run
from tests.helpers.tiny import random_vector, save_folder, tiny_lm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tiny_lm(), tmp_path_factory.mktemp("model"))


def test_evaluate_prints_the_matrix_and_keeps_its_cells(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    random_vector(1).save(tmp_path / "s.safetensors")
    random_vector(2).save(tmp_path / "h.safetensors")
    named = ["-v", f"safety={tmp_path}/s.safetensors", "-v", f"helpfulness={tmp_path}/h.safetensors"]
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


def measured(tmp_path: Path) -> list[Any]:
    random_vector(1).save(tmp_path / "s.safetensors")
    random_vector(2).save(tmp_path / "h.safetensors")
    return ["-v", f"safety={tmp_path}/s.safetensors", "-v", f"helpfulness={tmp_path}/h.safetensors"]


def test_evaluate_answers_benchmarks_from_files_and_writes_a_page(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    rows = [{"prompt": f"{label} {n}", "type": "t", "label": label} for label in ("safe", "unsafe") for n in range(3)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "t.txt").write_text("Play a pirate: {prompt}\n")
    command = [
        "evaluate", "-o", tmp_path / "r.json", "--html", tmp_path / "r.html", "-m", folder, "--prompts", 3,
        "-b", f"xstest={tmp_path}/x.jsonl", "-b", "reflective-judgement", "--templates", tmp_path / "t.txt",
        "--judge", "refusal-judge", "--judge", "gcg", "--max-new-tokens", 4, "--values", "0,1", *measured(tmp_path),
    ]  # fmt: skip
    code, printed, error = run(capsys, *command)
    assert code == 0, error
    assert "Cross-effects on answers" in printed
    assert "refusal-judge and substring:gcg agree on" in printed
    report = json.loads((tmp_path / "r.json").read_text())
    assert set(report["answers"]) == {"xstest", "reflective-judgement", "xstest in templates"}
    assert [p["text"] for p in report["benchmarks"]["xstest in templates"]["prompts"]] == [
        f"Play a pirate: unsafe {n}" for n in range(3)
    ]
    assert "<svg" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_compare_puts_vectors_and_baselines_on_one_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    big = save_folder(tiny_lm(max_position_embeddings=2048))
    measured(tmp_path)
    files = f"safety={tmp_path}/s.safetensors,helpfulness={tmp_path}/h.safetensors"
    code, printed, error = run(
        capsys, "compare", "--html", tmp_path / "c.html", "--out", tmp_path / "reports", "-m", big, "--prompts", 2,
        "--method", f"mine:{files}", "--baseline", "prompting", "--baseline", "random", "--values", "0,1",
        "--max-new-tokens", 3, "--judge", "gcg",
    )  # fmt: skip
    assert code == 0, error
    assert sorted(os.listdir(tmp_path / "reports")) == ["mine.json", "prompting.json", "random.json"]
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    for name in ("mine", "prompting", "random"):
        assert f"<h2>{name}</h2>" in page
    assert "Hypervolume" in printed


def test_calibrate_writes_the_record_into_the_vector(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    measured(tmp_path)
    code, printed, error = run(
        capsys, "calibrate", tmp_path / "s.safetensors", "-o", tmp_path / "c.safetensors", "-m", folder, "--prompts", 3
    )
    if code:  # random directions may raise no score at all, and that is what is said then
        assert "raises 'refusal of harmful' in none of" in error
        assert not (tmp_path / "c.safetensors").exists()
        code, printed, error = run(
            capsys, "calibrate", tmp_path / "h.safetensors", "-o", tmp_path / "c.safetensors", "-m", folder,
            "--prompts", 3,
        )  # fmt: skip
    assert code == 0, error
    assert "calibrated" in printed
    assert SteeringVector.load(tmp_path / "c.safetensors").calibration is not None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate", "-o", "r.json", "-b", "nothing"], "There is no benchmark 'nothing'"),
        (["evaluate", "-o", "r.json", "-b", "built-in", "--judge", "me"], "Expected a judge, found 'me'"),
        (["evaluate", "-o", "r.json", "--templates", "t.txt"], "Expected harmful prompts"),
        (["evaluate", "-o", "r.json", "--seeds", "a"], "Expected whole numbers"),
        (["compare", "--html", "c.html", "--recipe", "x"], "There is no recipe 'x'"),
        (["compare", "--html", "c.html", "--baseline", "x"], "There is no baseline 'x'"),
        (["compare", "--html", "c.html", "--method", "x"], "Expected NAME:AXIS=FILE"),
        (["compare", "--html", "c.html", "--baseline", "random", "--baseline", "random"], "a name of its own"),
        (["calibrate", "v", "-o", "c", "--axis", "charm"], "no built-in tuning data for 'charm'"),
    ],
)
def test_measuring_commands_say_what_is_wrong_before_a_model_is_loaded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, _, error = run(capsys, *arguments)
    assert code == 2
    assert sentence in error
    assert not os.listdir(tmp_path)


def test_bench_measures_pairs_and_says_on_what(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, printed, _ = run(capsys, "bench", "-m", folder, "--rounds", 1, "--new-tokens", 2, "--json")
    assert code == 0
    result = json.loads(printed)
    assert result["model"] == str(folder)
    assert [line["name"].split(",")[0] for line in result["ratios"]] == [
        "extraction",
        "decoding 2 tokens",
        "decoding 2 tokens",
        "sweep of 5x5 settings",
    ]
    assert all(line["lowest"] <= line["ratio"] <= line["highest"] for line in result["ratios"])
    assert result["sweep_is_identical"]
