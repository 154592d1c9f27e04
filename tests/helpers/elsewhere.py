"""Other tools are run where they are installed: in this environment, or in the one whose Python a variable names."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import CONSUMERS, ROOT


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


def run(python: str, script: str | Path, *arguments: object) -> str:
    """What a script of `tests/consumers` prints there, where it sees this repository; fails with its errors."""
    command = [python, str(CONSUMERS / script), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout
