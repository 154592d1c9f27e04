"""`trimtab inspect` as a user meets it."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from steering import logit_lens
from tests.helpers.command_line import run
from tests.helpers.tiny import random_vector, save_folder, tiny_lm


def test_inspect_shows_vectors_and_contrast_sets(capsys: pytest.CaptureFixture[str], toy: Path, tmp_path: Path) -> None:
    random_vector().save(tmp_path / "v.safetensors")
    code, printed, _ = run(capsys, "inspect", tmp_path / "v.safetensors")
    assert code == 0
    assert "layers 0-3 of width 32" in printed
    assert "2*" in printed  # a recommended layer is marked
    save_folder(tiny_lm(), tmp_path / "model")
    code, printed, _ = run(capsys, "inspect", tmp_path / "v.safetensors", "--model", tmp_path / "model", "--json")
    expected = logit_lens(tiny_lm(), random_vector())
    assert json.loads(printed)["logit_lens"] == json.loads(json.dumps([asdict(layer) for layer in expected]))
    code, printed, _ = run(capsys, "inspect", tmp_path / "v.safetensors", "--model", tmp_path / "model")
    assert "suppresses" in printed
    code, printed, _ = run(capsys, "inspect", "safety", "--json")
    assert code == 0
    assert json.loads(printed)["findings"] == []
    code, printed, _ = run(capsys, "inspect", toy)
    assert code == 0
    assert "findings" in printed
    assert "the word 'break'" in printed
