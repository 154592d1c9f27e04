"""`trimtab recipes` and `trimtab recipe` as a user meets them."""

import json
from pathlib import Path

import pytest

from steering import Slider
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
    answer_pairs(10).save(tmp_path / "own.jsonl")
    out = tmp_path / "caa.safetensors"
    code, printed, _ = run(
        capsys, "recipe", "caa", "-o", out, "-m", folder, "--set", f"safety-response={tmp_path}/own.jsonl"
    )
    assert code == 0
    assert "push: add at resid_post of layers 2, strength 1, tokens answer" in printed
    slider = Slider.load(out)
    assert slider.origin.recipe == "caa"
    assert slider.origin.sources[0].fingerprint == answer_pairs(10).fingerprint
    code, printed, _ = run(capsys, "inspect", out, "--json")
    assert json.loads(printed)["pushes"][0]["tokens"] == "answer"
