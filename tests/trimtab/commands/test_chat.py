"""`trimtab chat` as a user meets it."""

import re
from pathlib import Path

import pytest
from rich.console import Console

from steering import Gate, LanguageModel, Message, Push, Slider, load, read_gates
from tests.helpers.command_line import run
from tests.helpers.scripted import writing
from tests.helpers.tiny import OPENED_TEMPLATE, THINKING_TEMPLATE, random_vector, thinking_lm
from trimtab.response_printer import ResponsePrinter


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


@pytest.mark.parametrize(("template", "opening"), [(THINKING_TEMPLATE, "<think>\n"), (OPENED_TEMPLATE, "")])
def test_a_thought_is_printed_dimmed_and_apart(template: str, opening: str) -> None:
    lm = writing(thinking_lm(template, special=True), "Hi", f"{opening}Hm, [é].\n</think>\n\nYes, [1].")
    console = Console(markup=False, highlight=False, force_terminal=True, width=20)
    with console.capture() as printed:
        text = lm.chat("Hi", 60, streamer=ResponsePrinter(lm, console))
    assert text == "<think>\nHm, [é].\n</think>\n\nYes, [1]."
    dim = "".join(part.split("\x1b[0m")[0] for part in printed.get().split("\x1b[2m")[1:])
    assert dim == "Hm, [é]."
    assert re.sub("\x1b.*?m", "", printed.get()) == "Hm, [é].\n\nYes, [1].\n"


def test_only_answers_go_into_the_history(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_vector().save(tmp_path / "v.safetensors")
    lines, asked = iter(["Hello", "Why?", "/quit"]), []

    def chat(_lm: LanguageModel, history: list[Message], *_: object, **__: object) -> str:
        asked.append([message.content for message in history])
        return "<think>Hm.</think>Hi!"

    monkeypatch.setattr(LanguageModel, "chat", chat)
    monkeypatch.setattr("builtins.input", lambda *_: next(lines))
    assert run(capsys, "chat", "-m", folder, "-v", f"safety={tmp_path}/v.safetensors")[0] == 0
    assert asked == [["Hello"], ["Hello", "Hi!", "Why?"]]
