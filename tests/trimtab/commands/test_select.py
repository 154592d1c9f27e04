"""`trimtab select` as a user meets it."""

import json
import os
from pathlib import Path

import pytest

from tests.helpers.command_line import run


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
