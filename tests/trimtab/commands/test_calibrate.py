"""`trimtab calibrate` as a user meets it."""

from pathlib import Path

import pytest
import torch

from steering import Slider, SteeringVector
from tests.helpers.command_line import run
from tests.helpers.tiny import LAYERS, WIDTH

TUNED = ("--axis", "safety", "--prompts", 3)


def test_calibrate_writes_the_record_into_the_vector(
    capsys: pytest.CaptureFixture[str], folder: Path, axes: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "calibrated.safetensors"
    code, printed, error = run(
        capsys, "calibrate", axes["safety"], "-o", out, "-m", folder, "--axis", "safety", "--prompts", 3
    )
    assert code == 0, error
    assert "calibrated" in printed
    assert Slider.load(out).calibration is not None


def test_a_vector_that_raises_nothing_is_named_and_no_file_is_left(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    SteeringVector(torch.zeros(LAYERS, WIDTH)).save(tmp_path / "zero.safetensors")
    out = tmp_path / "calibrated.safetensors"
    code, _, error = run(
        capsys, "calibrate", tmp_path / "zero.safetensors", "-o", out, "-m", folder, "--axis", "safety", "--prompts", 3
    )
    assert code == 2
    assert "raises 'refusal of harmful' in none of" in error
    assert not out.exists()


def test_a_vector_of_ones_own_is_calibrated_on_its_own_pairs(
    capsys: pytest.CaptureFixture[str], big: Path, manners: dict[str, Path], tmp_path: Path
) -> None:
    out, cells = tmp_path / "c.safetensors", tmp_path / "cells"
    command = ["calibrate", manners["vector"], "-o", out, "-m", big, "--pairs", manners["pairs"], "--quick"]
    code, printed, error = run(capsys, *command, "--cells", cells)
    assert code == 0, error
    assert "'toy-answers: positive over negative answers' on 16 prompts" in printed
    assert Slider.load(out).pushes[0].layers == Slider.load(manners["vector"]).pushes[0].layers
    assert len(list(cells.iterdir())) == 1
    assert run(capsys, *command, "--cells", cells)[1] == printed


def test_what_a_vector_is_to_raise_is_never_guessed(
    capsys: pytest.CaptureFixture[str], big: Path, axes: dict[str, Path], manners: dict[str, Path], tmp_path: Path
) -> None:
    out, vector = tmp_path / "c.safetensors", manners["vector"]
    for arguments, sentence in (
        ([vector], "pass its pairs, 'toy-answers'"),
        ([vector, "--pairs", manners["other"]], "which pairs it has not seen can't be known"),
        ([vector, "--pairs", manners["pairs"], "--axis", "safety"], "--pairs or --axis, found both"),
        ([vector, "--axis", "formality"], "no built-in tuning data for 'formality'"),
        ([axes["safety"]], "whose file names no contrast set"),
    ):
        code, _, error = run(capsys, "calibrate", *arguments, "-o", out, "-m", big)
        assert code == 2
        assert sentence in error
        assert not out.exists()
