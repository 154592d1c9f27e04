"""`trimtab generate` as a user meets it."""

import json
from pathlib import Path

import pytest

from steering import Gate, LanguageModel, Push, Slider, Sliders, load, read_gates
from tests.helpers.command_line import run
from tests.helpers.tiny import random_vector, save_folder, tiny_lm


def test_generate_steers_as_the_api_does(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:

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
    settings = {"safety": 1.0, "mood": -0.5}
    known = {"settings": settings, "harm": None, "acts": {"safety": 1.0, "mood": 1.0}}
    assert json.loads(printed) == {"prompt": "Hi", "answer": expected, **known}


def test_generate_says_what_the_gates_read(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    gate = Gate(0, random_vector()[0], reads="harm")
    slider = Slider((Push(random_vector(), gate=gate),))
    slider.save(tmp_path / "s.safetensors")
    (read,) = read_gates(load(folder), {"safety": slider}, ["Hi"])
    command = ("generate", "Hi", "-m", folder, "-v", f"safety={tmp_path}/s.safetensors", "--max-new-tokens", 2)
    printed = json.loads(run(capsys, *command, "--json")[1])
    assert printed["harm"] == pytest.approx(read.harm)
    assert printed["acts"] == read.factors


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


def test_generate_prints_the_answer_behind_the_thought(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_vector().save(tmp_path / "v.safetensors")
    texts = iter(["<think>Hm.</think>Hello!"] * 2 + ["<think>Hm"])
    monkeypatch.setattr(LanguageModel, "chat", lambda *_: next(texts))
    command = ("generate", "Hi", "-m", folder, "-v", f"a={tmp_path}/v.safetensors", "--max-new-tokens", 7)
    assert run(capsys, *command)[1] == "Hello!\n"
    found = json.loads(run(capsys, *command, "--json")[1])
    assert (found["reasoning"], found["answer"]) == ("Hm.", "Hello!")
    code, printed, error = run(capsys, *command)
    assert (code, printed) == (0, "\n")
    assert error == "The thought did not end within 7 tokens, so there is no answer; raise --max-new-tokens.\n"


def test_generate_goes_on_with_a_prefilled_answer(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    vector = random_vector()
    vector.save(tmp_path / "v.safetensors")
    lm = load(folder)
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Sure, here is"}]
    with Sliders(a=vector).attach(lm) as dial:
        dial.set(a=1.0)
        expected = lm.chat(turns, 4)
    command = ("generate", "Hi", "-m", folder, "-v", f"a={tmp_path}/v.safetensors", "--slider", "a=1")
    printed = run(capsys, *command, "--prefill", "Sure, here is", "--max-new-tokens", 4, "--json")[1]
    assert json.loads(printed)["answer"] == expected
    assert expected.startswith("Sure, here is")
