"""`trimtab import` as a user meets it."""

import json
from pathlib import Path

import pytest

from steering import SteeringVector, load
from tests.helpers.command_line import run
from tests.helpers.tiny import random_vector, save_folder, tiny_lm


def test_import_notes_what_is_left_out_and_writes_a_vector(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    directions = {str(layer): random_vector()[layer].tolist() for layer in range(4)}
    (tmp_path / "x.svec").write_text(json.dumps({"model_type": "llama", "directions": directions}))
    out = tmp_path / "x.safetensors"
    command = ("import", tmp_path / "x.svec", "--from", "activation-steering", "-o", out)
    code, _, error = run(capsys, *command)
    assert code == 0
    assert "Note: left out layer 0" in error
    assert SteeringVector.load(out).layers == (0, 1, 2)
    folder = save_folder(tiny_lm(), tmp_path / "model")
    assert run(capsys, *command, "--model", folder, "--layers", "1")[0] == 0
    vector = SteeringVector.load(out)
    assert vector.layers == (1,)
    assert vector.origin is not None
    assert vector.origin.model == load(folder).identity


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "{v}", "--from", "word", "-o", "{out}"), "There is no import 'word'"),
        (("import", "{v}", "--from", "gguf", "-o", "{out}"), "is not a GGUF file"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], axes: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, _, error = run(capsys, *(entry.format(v=axes["safety"], out=out) for entry in arguments))
    assert code == 2
    assert said in error
    assert not out.exists()
