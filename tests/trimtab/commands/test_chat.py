"""`trimtab chat` as a user meets it."""

from pathlib import Path

import pytest

from tests.helpers.command_line import run
from tests.helpers.tiny import random_vector


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
