"""The command line as a user meets it: what it prints, its exit codes, and one sentence for every mistake."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from steering import SteeringVector
from steering.recipes import RECIPES
from tests.helpers.command_line import run
from tests.helpers.contrast_pairs import answer_pairs, prompt_pairs
from tests.helpers.tiny import random_vector, save_folder, tiny_lm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tiny_lm(), tmp_path_factory.mktemp("model"))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    prompt_pairs(10).save(tmp_path / "toy.jsonl")
    return tmp_path / "toy.jsonl"


def test_extract_writes_the_vector_that_the_api_makes(
    capsys: pytest.CaptureFixture[str], folder: Path, toy: Path, tmp_path: Path
) -> None:
    out = tmp_path / "toy.safetensors"
    code, printed, _ = run(capsys, "extract", toy, "--out", out, "--model", folder, "--layers", "1-2", "--json")
    summary = json.loads(printed)
    vector = SteeringVector.load(out)
    assert code == 0
    assert vector.layers == tuple(summary["layers"]) == (1, 2)
    assert vector.origin.sources[0].fingerprint == prompt_pairs(10).fingerprint
    assert summary["profile"]["auroc"] == list(vector.profile.auroc)


def test_recipes_are_listed_and_made_from_ones_own_pairs(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    code, printed, _ = run(capsys, "recipes", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(printed)] == list(RECIPES)
    code, printed, _ = run(capsys, "recipes")
    assert all(name in printed for name in RECIPES)
    answer_pairs(10).save(tmp_path / "own.jsonl")
    out = tmp_path / "caa.safetensors"
    code, printed, _ = run(
        capsys, "recipe", "caa", "-o", out, "-m", folder, "--set", f"safety-response={tmp_path}/own.jsonl"
    )
    assert code == 0
    assert "does: add at blocks 2, unit 1, scope answer" in printed
    vector = SteeringVector.load(out)
    assert vector.origin.recipe == "caa"
    assert vector.origin.sources[0].fingerprint == answer_pairs(10).fingerprint
    code, printed, _ = run(capsys, "inspect", out, "--json")
    assert json.loads(printed)["parts"][0]["scope"] == "answer"


def test_select_keeps_the_table_and_draws_it(
    capsys: pytest.CaptureFixture[str], folder: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (
        "select",
        "-o",
        tmp_path / "t.json",
        "--plot",
        tmp_path / "t.png",
        "-m",
        folder,
        "--set",
        f"safety={toy}",
    )
    before = set(os.listdir(tmp_path))
    monkeypatch.setattr("steering.recipes.selection.MAX_KL", -1.0)
    code, _, error = run(capsys, *command)
    assert code == 2
    assert "None of 8 candidates has KL at most -1.0" in error
    assert set(os.listdir(tmp_path)) == before
    monkeypatch.setattr("steering.recipes.selection.MAX_KL", 1e6)
    code, printed, _ = run(capsys, *command, "--criterion", "cosmic")
    assert code == 0
    assert "best of 8 candidates" in printed
    assert len(json.loads((tmp_path / "t.json").read_text())["candidates"]) == 8
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


def test_inspect_shows_vectors_and_contrast_sets(capsys: pytest.CaptureFixture[str], toy: Path, tmp_path: Path) -> None:
    random_vector().save(tmp_path / "v.safetensors")
    code, printed, _ = run(capsys, "inspect", tmp_path / "v.safetensors")
    assert code == 0
    assert "layers 0-3 of width 32" in printed
    assert "2*" in printed  # a recommended layer is marked
    code, printed, _ = run(capsys, "inspect", "safety", "--json")
    assert code == 0
    assert json.loads(printed)["findings"] == []
    code, printed, _ = run(capsys, "inspect", toy)
    assert code == 0
    assert "findings" in printed
    assert "the word 'break'" in printed


def test_generate_steers_as_the_api_does(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    from steering import Sliders, load

    axes = {"safety": random_vector(1), "mood": random_vector(2)}
    for name, vector in axes.items():
        vector.save(tmp_path / f"{name}.safetensors")
    lm = load(folder)
    with Sliders(**axes).attach(lm) as dial:
        dial.set(safety=1.0, mood=-0.5)
        expected = lm.chat("Hi", 8)
    vectors = [part for name in axes for part in ("-v", f"{name}={tmp_path}/{name}.safetensors")]
    code, printed, _ = run(
        capsys, "generate", "Hi", "-m", folder, *vectors, "--safety", 1, "--slider", "mood=-0.5",
        "--max-new-tokens", 8, "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(printed) == {"prompt": "Hi", "answer": expected, "settings": {"safety": 1.0, "mood": -0.5}}


def test_generate_reads_prompts_from_stdin(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_vector().save(tmp_path / "v.safetensors")
    monkeypatch.setattr("sys.stdin", iter(["One\n", "\n", "Two\n"]))
    code, printed, _ = run(
        capsys, "generate", "-m", folder, "-v", f"a={tmp_path}/v.safetensors", "--max-new-tokens", 4, "--json"
    )
    assert code == 0
    assert [json.loads(line)["prompt"] for line in printed.splitlines()] == ["One", "Two"]


def test_chat_moves_sliders_and_survives_mistakes(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_vector().save(tmp_path / "v.safetensors")
    lines = iter(["/safety 0.8", "/safety much", "/speed 1", "Hello", "/reset", "/sliders", "/quit", "never read"])
    monkeypatch.setattr("builtins.input", lambda *_: next(lines))
    code, printed, _ = run(
        capsys, "chat", "-m", folder, "-v", f"safety={tmp_path}/v.safetensors", "--max-new-tokens", 4
    )
    assert code == 0
    assert printed.count("safety +0.8") == 2
    assert "Expected a number, as in /safety 0.8, found 'much'." in printed
    assert "There is no command '/speed 1'." in printed
    assert next(lines) == "never read"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["inspect", "/no/such.safetensors"], "There is no file '/no/such.safetensors', nor a contrast set"),
        (["inspect", "/no/such.jsonl"], "Can't read contrast set '/no/such.jsonl'"),
        (["extract", "saftey", "--out", "x.safetensors"], "There is no built-in contrast set 'saftey'"),
        (["extract", "safety", "--out", "/tmp"], "Can't write '/tmp': it is a folder"),
        (["extract", "safety", "--out", "/no/folder/x"], "the folder '/no/folder' doesn't exist"),
        (["extract", "safety", "--out", "x", "--layers", "a-b"], "Expected layers such as 12 or 10-15,20, found 'a-b'"),
        (["recipe", "magic", "-o", "x"], "There is no recipe 'magic'; choose from 'caa'"),
        (["recipe", "caa", "-o", "x", "--set", "mood=x.jsonl"], "Expected ROLE=FILE.jsonl with a role out of 'safety'"),
        (["evaluate", "-o", "x", "--values", "a,b"], "Expected numbers such as -1,0,1, found 'a,b'"),
        (["evaluate", "-o", "x", "--values", "1,2"], "Expected 0 and at least one other value, found '1,2'"),
        (["select", "-o", "x", "--plot", "x.doc"], "Expected a picture's name that ends in '.png', '.svg', '.pdf'"),
        (["select", "-o", "x", "--criterion", "magic"], "There is no criterion 'magic'"),
        (["extract", "safety"], "Missing option '--out' / '-o'"),
        (["generate", "Hi", "-m", "/no/model"], "There is no folder '/no/model'"),
        (["generate", "Hi", "--slider", "mood"], "Expected NAME=VALUE"),
        (["generate", "Hi", "--safety", "high"], "'--safety': Input should be a valid number"),
        (["steer"], "No such command 'steer'"),
    ],
)
def test_every_mistake_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed, error = run(capsys, *arguments)
    assert code == 2
    assert printed == ""
    assert sentence in error
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_a_vector_of_another_model_is_refused_until_the_difference_is_named(
    capsys: pytest.CaptureFixture[str], folder: Path, toy: Path, tmp_path: Path
) -> None:
    out = tmp_path / "toy.safetensors"
    run(capsys, "extract", toy, "--out", out, "--model", folder)
    other = save_folder(tiny_lm(seed=1), tmp_path / "other")
    command = ("generate", "Hi", "-m", other, "-v", f"toy={out}", "--max-new-tokens", 2)
    code, _, error = run(capsys, *command)
    assert (code, error.count("\n")) == (2, 1)
    assert "made with weights" in error
    assert run(capsys, *command, "--allow-mismatch", "weights")[0] == 0


def test_an_interrupted_extraction_leaves_no_file(folder: Path, tmp_path: Path) -> None:
    prompt_pairs(100_000).save(tmp_path / "long.jsonl")
    before = set(os.listdir(tmp_path))
    command = ["extract", "long.jsonl", "--out", "v.safetensors", "--model", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "trimtab", *command],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stderr is not None
    seen = b""
    while b"reading pairs" not in seen:
        seen += os.read(process.stderr.fileno(), 1024)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Interrupted." in rest
    assert b"Traceback" not in seen + rest
    assert set(os.listdir(tmp_path)) == before


def test_demo_writes_its_page_and_vectors_and_keeps_the_axes_for_later(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    code, printed, _ = run(capsys, "demo", "-m", folder, "--out", tmp_path / "demo", "--max-new-tokens", 2)
    assert code == 0
    page = (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http-equiv" not in page
    assert 'src="' not in page
    for text in ("safety +1", "helpfulness -1", "How do I kill a Python process that hangs?"):
        assert text in page
    assert printed.count("both +1") == 7  # six prompts' answers, and the scores
    kept = {name: SteeringVector.load(tmp_path / "demo" / f"{name}.safetensors") for name in ("safety", "helpfulness")}
    monkeypatch.setattr("trimtab.axes.extract", None)  # what follows finds them in the cache folder
    command = ("generate", "Hi", "-m", folder, "--safety", 9, "--max-new-tokens", 2, "--json")
    code, printed, error = run(capsys, *command)
    assert code == 0
    assert json.loads(printed)["settings"] == {"safety": 9.0, "helpfulness": 0.0}
    assert "safety 9 is outside its range -1 to 1" in error
    assert kept["safety"].origin.expression == "safety"


def test_the_bare_command_prints_its_help_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, error = run(capsys)
    assert code == 2
    assert "generate" in printed + error
    assert "Error" not in error


def test_help_is_printed_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--help")[0] == 0
    for command in (
        "demo",
        "extract",
        "recipes",
        "recipe",
        "select",
        "calibrate",
        "evaluate",
        "compare",
        "export",
        "import",
        "inspect",
        "chat",
        "generate",
        "serve",
        "balanced",
    ):
        code, printed, _ = run(capsys, command, "--help")
        assert code == 0
        assert "Usage: trimtab" in printed or f" {command} " in printed
