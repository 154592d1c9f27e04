"""What texts tell users to type: README's code runs as it stands, every command in a text is one that there is."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from tests.helpers.paths import ROOT
from trimtab.cli import app, main
from trimtab.demo import REFERENCE

README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("vectors/*/README.md")]
GO_ON = ("studio", "serve", "chat")
"""Commands that go on until they are ended; their own tests start them."""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str, program: str = "trimtab") -> list[list[str]]:
    """The words behind a program's name, in all shell blocks of a text; `…` stands for more of the same."""
    joined = "\n".join(blocks(text, "sh")).replace("\\\n", " ")
    lines = re.findall(rf"^(?:[A-Z_]+=\S+ )?(?:\S+/)?{program} (.*)$", joined, re.MULTILINE)
    return [[word for word in shlex.split(line, comments=True) if word != "…"] for line in lines]


ALL = {
    f"{path.relative_to(ROOT)}: {shlex.join(line)}": line
    for path in TEXTS
    for line in commands(path.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("where", ALL)
def test_a_command_in_a_text_is_one_that_the_shell_knows(where: str) -> None:
    name, *arguments = ALL[where]
    group = typer.main.get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]
    command.make_context(name, list(arguments))


@pytest.mark.parametrize("line", commands(README, "make"), ids=" ".join)
def test_what_readme_makes_is_a_target(line: list[str]) -> None:
    subprocess.run(["make", *line, "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_cpu_1_takes_pytorch_for_cpus_and_nothing_else_does() -> None:
    def steps(*options: str) -> str:
        make = ["make", "--dry-run", "--always-make", ".venv/installed", *options]
        return subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert "--extra-index-url https://download.pytorch.org/whl/cpu --editable ." in steps("CPU=1")
    assert "index-url" not in steps()


@pytest.mark.real
def test_readme_python_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for block in blocks(README, "python"):
        exec(block, names)
    first, batch = capsys.readouterr().out.strip().rsplit("\n", 1)
    assert first
    assert len(eval(batch)) == 3


@pytest.mark.real
@pytest.mark.parametrize("line", [line for line in commands(README) if line[0] not in GO_ON], ids=" ".join)
def test_readme_commands_run_as_they_stand(
    line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(line)
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip()


def test_readme_is_one_screen_and_its_figures_are_those_of_the_page_that_it_links() -> None:
    assert len(README.splitlines()) <= 100
    measured = (ROOT / "docs" / "balanced.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| (both at 0|safety 1|helpfulness 1|both at 1) \|(.*)\|$", README, re.MULTILINE):
        setting = {"both at 0": "bare", "both at 1": "both 1"}.get(row[0], row[0])
        first = re.search(rf"^\| {setting} \|(.*)\|$", measured, re.MULTILINE)
        assert first is not None
        shares = re.findall(r"(?:^|\|) (\d+%)", first[1])
        assert re.findall(r"\d+%", row[1]) == shares
        assert [f"{one.value:.0%}" for one in REFERENCE[setting]] == shares
