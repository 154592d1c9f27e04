"""`trimtab demo` as a user meets it."""

import json
from pathlib import Path

import pytest

from steering import SteeringVector
from tests.helpers.command_line import run


def test_demo_writes_its_page_and_vectors_and_keeps_the_axes_for_later(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    code, printed, _ = run(capsys, "demo", "-m", folder, "--out", tmp_path / "demo", "--max-new-tokens", 2)
    assert code == 0
    page = (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http-equiv" not in page
    assert 'src="' not in page
    for text in ("safety +1", "helpfulness -1", "How do I kill a Python process that hangs?"):
        assert text in page
    assert printed.count("both +1") == 7  # six prompts' answers, and the scores
    kept = {name: SteeringVector.load(tmp_path / "demo" / f"{name}.safetensors") for name in ("safety", "helpfulness")}
    monkeypatch.setattr("steering.extract", None, raising=False)  # what follows finds them in the cache folder
    command = ("generate", "Hi", "-m", folder, "--safety", 9, "--max-new-tokens", 2, "--json")
    code, printed, error = run(capsys, *command)
    assert code == 0
    assert json.loads(printed)["settings"] == {"safety": 9.0, "helpfulness": 0.0}
    assert "safety 9 is outside its range -1 to 1" in error
    assert kept["safety"].origin.expression == "safety"
