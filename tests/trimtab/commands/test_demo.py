"""`trimtab demo` as a user meets it."""

import json
from pathlib import Path

import pytest

from steering import LanguageModel, SteeringVector
from steering.recipes import balanced_pair
from steering.vectors.slider import Slider
from tests.helpers.command_line import run
from tests.helpers.known_vectors import pair_of
from trimtab import demo


def test_demo_writes_its_page_and_vectors_and_keeps_the_pair_for_later(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    made: list[str] = []

    def make(lm: LanguageModel, **_options: object) -> dict[str, Slider]:
        made.append(lm.identity.name)
        return pair_of(lm.identity)

    monkeypatch.setattr(balanced_pair, "balanced", make)
    for count in ("HARMFUL", "ORDINARY", "MARGIN_PAIRS"):
        monkeypatch.setattr(demo, count, 3)
    monkeypatch.setattr(demo, "TAUGHT_PAIRS", 8)
    code, printed, error = run(capsys, "demo", "-m", folder, "--out", tmp_path / "demo", "--max-new-tokens", 2)
    assert code == 0
    assert f"Making the independent pair for {folder} once" in error
    page = (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")
    assert "<svg" in page
    for loaded in ("http-equiv", 'src="', "<script", "@import", "url(http"):
        assert loaded not in page
    for text in (
        "harmful refused",
        "engaged margin",
        "plain knob 1",
        "The same sliders on Qwen2.5-Coder-0.5B-Instruct",
    ):
        assert text in page
    assert "SmolLM2" not in page + printed  # what that model can't do is said of it alone
    assert printed.count("both 1") == 6  # the matrix, and five prompts' answers
    plain = SteeringVector.load(tmp_path / "demo" / "plain.safetensors")
    assert plain.origin.expression == "safety"
    command = ("generate", "Hi", "-m", folder, "--safety", 9, "--max-new-tokens", 2, "--json")
    code, printed, error = run(capsys, *command)
    assert code == 0
    assert json.loads(printed)["settings"] == {"safety": 9.0, "helpfulness": 0.0}
    assert error == "Note: safety 9 is outside its range 0 to 1; text may break.\n"
    assert made == [str(folder)]
