"""Commands with `--engine llama.cpp`: the texts that the API gives on the same file, and sentences elsewhere."""

import json
from pathlib import Path

import pytest

from steering import Sliders, SteeringVector, load
from tests.helpers.command_line import run
from tests.helpers.gguf_files import needs_llama_cpp, write_gguf
from tests.helpers.tiny import random_vector, tiny_lm

pytestmark = needs_llama_cpp


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tiny_lm(), tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def packed(file: Path) -> tuple[str, ...]:
    return ("-m", str(file), "--engine", "llama.cpp")


def test_generate_steers_as_the_api_does(
    capsys: pytest.CaptureFixture[str], file: Path, packed: tuple[str, ...], axes: dict[str, Path]
) -> None:
    lm = load(file, engine="llama.cpp")
    with Sliders(safety=random_vector(1)).attach(lm) as dial:
        dial.set(safety=0.7)
        expected = lm.chat("Hi", 12)
    vector = ("-v", f"safety={axes['safety']}", "--safety", 0.7)
    code, printed, _ = run(capsys, "generate", "Hi", *packed, *vector, "--max-new-tokens", 12, "--json")
    assert code == 0
    assert json.loads(printed)["answer"] == expected


def test_chat_writes_as_generate_does(
    capsys: pytest.CaptureFixture[str],
    file: Path,
    packed: tuple[str, ...],
    axes: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = iter(["/safety 0.7", "Hi", "/quit"])
    monkeypatch.setattr("builtins.input", lambda *_: next(lines))
    vector = ("-v", f"safety={axes['safety']}")
    code, printed, _ = run(capsys, "chat", *packed, *vector, "--max-new-tokens", 12)
    written = run(capsys, "generate", "Hi", *packed, *vector, "--safety", 0.7, "--max-new-tokens", 12)[1]
    assert code == 0
    assert written.strip() in printed


def test_a_vector_extracted_through_llama_cpp_belongs_to_the_file_in_both_engines(
    capsys: pytest.CaptureFixture[str], file: Path, packed: tuple[str, ...], toy: Path, tmp_path: Path
) -> None:
    assert run(capsys, "extract", toy, "--out", tmp_path / "toy.safetensors", *packed)[0] == 0
    assert run(capsys, "extract", toy, "--out", tmp_path / "unpacked.safetensors", "-m", file)[0] == 0
    ours, theirs = (SteeringVector.load(tmp_path / f"{name}.safetensors") for name in ("toy", "unpacked"))
    assert ours.directions.allclose(theirs.directions, atol=2e-2 * float(theirs.directions.norm(dim=-1).max()))
    for model in (packed, ("-m", file)):
        command = ("generate", "Hi", *model, "-v", f"toy={tmp_path}/toy.safetensors", "--max-new-tokens", 2)
        assert run(capsys, *command)[0] == 0


@pytest.mark.parametrize("to", ["baked", "orthogonalized", "peft"])
def test_an_export_that_rewrites_weights_says_that_it_needs_them(
    capsys: pytest.CaptureFixture[str], packed: tuple[str, ...], axes: dict[str, Path], to: str, tmp_path: Path
) -> None:
    command = ("export", f"safety={axes['safety']}", "--to", to, "-o", tmp_path / "out", *packed)
    code, _, error = run(capsys, *command)
    assert (code, error.count("\n")) == (2, 1)
    assert "load it with the transformers engine" in error
