"""`trimtab chat` as a user meets it."""

from pathlib import Path

import pytest

from steering import Gate, Message, Push, Slider, load, read_gates
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


def test_chat_says_what_the_gates_read_of_every_message_while_they_matter(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slider = Slider((Push(random_vector(), gate=Gate(0, random_vector()[0], reads="harm")),))
    slider.save(tmp_path / "s.safetensors")
    lines = iter(["Hello", "/safety 1", "/reset", "Why?", "/safety 0", "Bye", "/quit"])
    monkeypatch.setattr("builtins.input", lambda *_: next(lines))
    _, printed, _ = run(
        capsys, "chat", "-m", folder, "-v", f"safety={tmp_path}/s.safetensors", "--max-new-tokens", 2
    )  # fmt: skip
    (read,) = read_gates(load(folder), {"safety": slider}, [[Message(role="user", content="Why?")]])
    assert printed.count("reads as harmful: ") == 1
    assert read.text in printed
