"""Broken files of every format are read or refused with a sentence: a small run of the harness."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.hostile_files.__main__ import GOOD, run
from benchmarks.hostile_files.reading import outcome_of
from steering import SteeringError


def raising(error: BaseException, cause: BaseException | None = None) -> Callable[[Path], object]:
    def read(_path: Path) -> object:
        raise error from cause

    return read


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda path: 1, "read"),
        (raising(SteeringError("no")), "refused"),
        (raising(ValueError("no")), "traceback"),
        (raising(RecursionError()), "traceback"),
        (raising(MemoryError()), "memory"),
        (raising(SteeringError("no"), MemoryError()), "memory"),
    ],
)
def test_outcomes_are_told_apart(read: Callable[[Path], object], outcome: str, tmp_path: Path) -> None:
    assert outcome_of(read, tmp_path)[0] == outcome


@pytest.mark.slow
def test_broken_files_end_in_no_traceback_hang_or_pickle() -> None:
    found = list(run(300, seed=0))
    assert [str(one) for one in found if one.outcome not in GOOD] == []
    for outcome in GOOD:
        assert sum(one.outcome == outcome for one in found) > 30  # mutations neither miss nor only break
