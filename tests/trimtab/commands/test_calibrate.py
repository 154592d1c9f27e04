"""`trimtab calibrate` as a user meets it."""

from pathlib import Path

import pytest
import torch

from steering import Slider, SteeringVector
from tests.helpers.command_line import run
from tests.helpers.tiny import LAYERS, WIDTH


def test_calibrate_writes_the_record_into_the_vector(
    capsys: pytest.CaptureFixture[str], folder: Path, axes: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "calibrated.safetensors"
    code, printed, error = run(capsys, "calibrate", axes["safety"], "-o", out, "-m", folder, "--prompts", 3)
    assert code == 0, error
    assert "calibrated" in printed
    assert Slider.load(out).calibration is not None


def test_a_vector_that_raises_nothing_is_named_and_no_file_is_left(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    SteeringVector(torch.zeros(LAYERS, WIDTH)).save(tmp_path / "zero.safetensors")
    out = tmp_path / "calibrated.safetensors"
    code, _, error = run(capsys, "calibrate", tmp_path / "zero.safetensors", "-o", out, "-m", folder, "--prompts", 3)
    assert code == 2
    assert "raises 'refusal of harmful' in none of" in error
    assert not out.exists()
