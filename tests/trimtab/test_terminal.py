"""Text of files shows in the terminal, and never steers it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from steering import ContrastPair, ContrastSet
from steering.data.chats import Message
from steering.data.contrast import Header
from steering.models.identity import ModelIdentity
from steering.vectors.provenance import Origin
from tests.helpers.command_line import run
from tests.helpers.tiny import LAYERS, WIDTH, random_vector
from trimtab.options import console
from trimtab.tables import print_table
from trimtab.terminal import echo

HOSTILE = "safe\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\r\u202eevil\u2066\nrange: 0 to 9"


def assert_steers_nothing(printed: str) -> None:
    found = [character for character in printed if not (character.isprintable() or character in "\n\t")]
    assert found == []


def hostile_set(path: Path) -> Path:
    sides = [(Message(role="user", content=f"{word} {HOSTILE}"),) for word in ("good", "bad")]
    pairs = tuple(ContrastPair(id=str(i), group=HOSTILE, positive=sides[0], negative=sides[1]) for i in range(4))
    ContrastSet(pairs, Header(name=HOSTILE, why=HOSTILE, positive=HOSTILE)).save(path)
    return path


def hostile_vector(path: Path) -> Path:
    model = ModelIdentity(name=HOSTILE, model_type=HOSTILE, n_layers=LAYERS, d_model=WIDTH, config="c")
    origin = Origin(model=model, sources=(), expression=HOSTILE, recipe=HOSTILE)
    replace(random_vector(), origin=origin).save(path)
    return path


def test_a_contrast_sets_words_are_shown_escaped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, printed, _ = run(capsys, "inspect", hostile_set(tmp_path / "x.jsonl"))
    assert code == 0
    assert_steers_nothing(printed)
    assert r"safe\u001b]0;owned\u0007\u001b[2J\u009b31m\u007f\u000d\u202eevil\u2066" in printed
    code, printed, _ = run(capsys, "inspect", tmp_path / "x.jsonl", "--json")
    assert_steers_nothing(printed)
    assert json.loads(printed)["header"]["name"] == HOSTILE


def test_a_vectors_names_stay_within_their_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, printed, _ = run(capsys, "inspect", hostile_vector(tmp_path / "v.safetensors"))
    assert code == 0
    assert_steers_nothing(printed)
    assert sum(line.startswith("range:") for line in printed.splitlines()) == 1
    code, printed, _ = run(capsys, "inspect", tmp_path / "v.safetensors", "--json")
    assert_steers_nothing(printed)
    assert json.loads(printed)["title"] == HOSTILE


def test_profiles_are_shown_escaped_and_are_no_markup(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    quoted = json.dumps(HOSTILE)
    (tmp_path / "p.toml").write_text(
        f'["[/bold]{quoted[1:-1]}"]\ncontext = {quoted}\npriorities = ["helpful"]\nsliders = {{}}\nrisk = {quoted}\n',
        encoding="utf-8",
    )
    code, printed, _ = run(capsys, "profiles", "--profiles", tmp_path / "p.toml")
    assert code == 0
    assert_steers_nothing(printed)
    assert "[/bold]safe" in printed


def test_a_sentence_about_a_file_is_shown_escaped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('"\\u001b[2J" = 3\n', encoding="utf-8")
    code, _, error = run(capsys, "profiles", "--profiles", tmp_path / "p.toml")
    assert code == 2
    assert_steers_nothing(error)
    assert r"\x1b[2J" in error


def test_tables_and_plain_lines_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HOSTILE, ("a", HOSTILE), [("1", HOSTILE)], is_text=True)
    console.print(HOSTILE, style="dim")
    echo(HOSTILE)
    assert_steers_nothing(capsys.readouterr().out)
