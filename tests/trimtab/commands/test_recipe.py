"""`trimtab recipes` and `trimtab recipe` as a user meets them."""

import json
from pathlib import Path

import pytest

from steering import SteeringVector
from steering.recipes import RECIPES
from tests.helpers.command_line import run
from tests.helpers.contrast_pairs import answer_pairs


def test_recipes_are_listed_and_made_from_ones_own_pairs(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    code, printed, _ = run(capsys, "recipes", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(printed)] == list(RECIPES)
    code, printed, _ = run(capsys, "recipes")
    assert all(name in printed for name in RECIPES)
    answer_pairs(10).write(tmp_path / "own.jsonl")
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
