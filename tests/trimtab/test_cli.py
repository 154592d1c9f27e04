"""The command line as a user meets it: its help, its exit codes, and one sentence for every mistake."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from steering.errors import SteeringError
from steering.formats import EXPORTS, IMPORTS, MODEL_EXPORTS
from tests.helpers.command_line import run
from trimtab.cli import app
from trimtab.options import with_options

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["inspect", "/no/such.safetensors"], "There is no file '/no/such.safetensors', nor a contrast set"),
        (["inspect", "/no/such.jsonl"], "Can't read contrast set '/no/such.jsonl'"),
        (["extract", "saftey", "--out", "x.safetensors"], "There is no built-in contrast set 'saftey'"),
        (["extract", "safety", "--out", "/tmp"], "Can't write '/tmp': it is a folder"),
        (["extract", "safety", "--out", "/no/folder/x"], "the folder '/no/folder' doesn't exist"),
        (["extract", "safety", "--out", "x", "--layers", "a-b"], "of at most four digits, found 'a-b'"),
        (["recipe", "magic", "-o", "x"], "There is no recipe 'magic'; choose from 'caa'"),
        (["recipe", "caa", "-o", "x", "--set", "mood=x.jsonl"], "Expected ROLE=FILE.jsonl with a role out of 'safety'"),
        (["evaluate", "-o", "x", "--values", "a,b"], "Expected numbers such as -1,0,1, found 'a,b'"),
        (["evaluate", "-o", "x", "--values", "1,2"], "Expected 0 and at least one other value, found '1,2'"),
        (["select", "-o", "x", "--plot", "x.doc"], "Expected a picture's name that ends in '.png', '.svg', '.pdf'"),
        (["select", "-o", "x", "--criterion", "magic"], "There is no criterion 'magic'"),
        (["evaluate", "-o", "r.json", "-b", "nothing"], "There is no benchmark 'nothing'"),
        (["evaluate", "-o", "r.json", "-b", "built-in", "--judge", "me"], "Expected a judge, found 'me'"),
        (["evaluate", "-o", "r.json", "--templates", "t.txt"], "Expected harmful prompts"),
        (["evaluate", "-o", "r.json", "--seeds", "a"], "Expected whole numbers"),
        (["compare", "--html", "c.html", "--recipe", "x"], "There is no recipe 'x'"),
        (["compare", "--html", "c.html", "--baseline", "x"], "There is no baseline 'x'"),
        (
            ["compare", "--html", "c.html", "--baseline", "trained=/no/such"],
            "'/no/such/control_tokens.json' is no record",
        ),
        (["compare", "--html", "c.html", "--method", "x"], "Expected NAME:AXIS=FILE"),
        (["compare", "--html", "c.html", "--baseline", "random", "--baseline", "random"], "a name of its own"),
        (["calibrate", "v", "-o", "c", "--axis", "charm"], "no built-in tuning data for 'charm'"),
        (["extract", "safety"], "Missing option '--out' / '-o'"),
        (["generate", "Hi", "-m", "/no/model"], "There is no folder '/no/model'"),
        (["generate", "Hi", "--slider", "mood"], "Expected NAME=VALUE"),
        (["generate", "Hi", "--safety", "high"], "'--safety': Input should be a valid number"),
        (["profiles", "--profiles", "/no/such.toml"], "Can't read the profiles '/no/such.toml'"),
        (["steer"], "No such command 'steer'"),
    ],
)
def test_every_mistake_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed, error = run(capsys, *arguments)
    assert code == 2
    assert printed == ""
    assert sentence in error
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_the_reason_though_what_it_broke_off_ends_in_another_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stop: signal.Signals, code: int
) -> None:
    def broken_off(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), stop)
        except BaseException as error:
            raise SteeringError("Can't write 'x': the archive is open.") from error

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("trimtab.cli.app", broken_off)
    try:
        found, _, error = run(capsys)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
    assert found == code
    assert "archive" not in error


def test_the_bare_command_prints_its_help_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, error = run(capsys)
    assert code == 2
    assert "generate" in printed + error
    assert "Error" not in error


def test_help_is_printed_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--help")[0] == 0
    assert len(COMMANDS) == 18
    for command in COMMANDS:
        code, printed, _ = run(capsys, command, "--help")
        assert code == 0
        assert f" {command} " in printed


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, trimtab.cli; print(*sorted({'torch', 'transformers', 'fastapi', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "\n"


def test_every_command_takes_the_same_options_for_its_model() -> None:
    group = {"model", "dtype", "device_map", "revision", "system_prompt", "template", "blocks", "engine"}
    given = {name: group & {parameter.name for parameter in command.params} for name, command in COMMANDS.items()}
    few = {"demo": {"model"}, "recipes": set(), "profiles": set(), "inspect": {"model"}}
    assert given == dict.fromkeys(COMMANDS, group) | few


def test_a_group_of_options_is_single_options_and_one_argument() -> None:
    @dataclass(frozen=True)
    class Group:
        size: Annotated[int, typer.Option(min=1)] = 3
        hidden: str = "no option"

    def command(name: str, group: Group, loud: bool = False) -> None:
        received.append((name, group, loud))

    received: list[Any] = []
    app = typer.Typer()
    app.command()(with_options(command))
    app(["Ann", "--size", "5"], standalone_mode=False)
    app(["Bob", "--loud"], standalone_mode=False)
    assert received == [("Ann", Group(5), False), ("Bob", Group(), True)]


def test_the_help_names_every_consumer(capsys: pytest.CaptureFixture[str]) -> None:
    exported = COMMANDS["export"].params
    help_of_to = next(parameter.help for parameter in exported if parameter.name == "to")
    assert all(name in help_of_to for name in (*EXPORTS, *MODEL_EXPORTS, "hub"))
    imported = COMMANDS["import"].params
    help_of_source = next(parameter.help for parameter in imported if parameter.name == "source")
    assert all(name in help_of_source for name in IMPORTS)
