"""`trimtab bench` as a user meets it."""

import json
from pathlib import Path

import pytest

from tests.helpers.command_line import run

pytestmark = pytest.mark.slow


def test_bench_measures_pairs_and_says_on_what(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, printed, _ = run(capsys, "bench", "-m", folder, "--rounds", 1, "--new-tokens", 2, "--json")
    assert code == 0
    result = json.loads(printed)
    assert result["model"] == str(folder)
    assert [line["name"].split(",")[0] for line in result["ratios"]] == [
        "extraction",
        "decoding 2 tokens",
        "decoding 2 tokens",
        "sweep of 5x5 settings",
    ]
    assert all(line["lowest"] <= line["ratio"] <= line["highest"] for line in result["ratios"])
    assert result["sweep_is_identical"]
