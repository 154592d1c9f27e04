"""The harness of killed commands, a few of each: `benchmarks/kills.py` has the whole count."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_killed_commands_leave_whole_files_and_nothing_else() -> None:
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "30", "--seed", "1"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert sum(int(line.split()[1]) for line in ended.stdout.splitlines()) > 0
