"""Other tools are run where they are installed: in this environment, or in the one whose Python a variable names."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.helpers.paths import CONSUMERS


def python_with(module: str, distribution: str, variable: str) -> str:
    """A Python that has the module; skips the test, with what to do, where there is none."""
    named = os.environ.get(variable)
    if named:
        look = f"import importlib.util as u; raise SystemExit(u.find_spec({module!r}) is None)"
        if subprocess.run([named, "-c", look]).returncode:
            pytest.fail(f"{variable} names {named}, which has no {module}; install {distribution} there")
        return named
    if importlib.util.find_spec(module) is None:
        pytest.skip(
            f"{distribution} isn't installed: pip install {distribution} in an environment of its own, and name its "
            f"Python in {variable}"
        )
    return sys.executable


def run(python: str, script: str, *arguments: object) -> None:
    """Run a script of this folder there; the test fails with what it printed."""
    ended = subprocess.run([python, str(CONSUMERS / script), *map(str, arguments)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
