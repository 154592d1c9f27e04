"""Cells are computed once, kept whole, and computed anew where the file is damaged."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from probes.cells import Cells


class Number(BaseModel):
    value: float


class Other(BaseModel):
    value: float


def test_a_cell_is_computed_once_for_its_key_and_kind(tmp_path: Path) -> None:
    calls = []

    def compute() -> Number:
        calls.append(1)
        return Number(value=0.1 + 0.2)

    cells = Cells(tmp_path / "made")
    assert cells.get(("a", {"x": 1, "y": 2}), Number, compute).value == 0.1 + 0.2
    assert cells.get(("a", {"y": 2, "x": 1}), Number, compute).value == 0.1 + 0.2
    assert len(calls) == 1
    cells.get(("b",), Number, compute)
    assert Cells(tmp_path / "made").get(("b",), Other, lambda: Other(value=7.0)).value == 7.0
    assert len(calls) == 2


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Cells().get(("a",), Number, lambda: Number(value=1.0)).value == 1.0
    assert Cells().get(("a",), Number, lambda: Number(value=2.0)).value == 2.0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b'{"value": ', b"\xff\xfe", b"[]"])
def test_a_damaged_cell_is_computed_anew(tmp_path: Path, content: bytes) -> None:
    Cells(tmp_path).get(("a",), Number, lambda: Number(value=1.0))
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert Cells(tmp_path).get(("a",), Number, lambda: Number(value=3.0)).value == 3.0
    assert Cells(tmp_path).get(("a",), Number, lambda: Number(value=4.0)).value == 3.0


def test_an_interrupted_cell_leaves_no_file(tmp_path: Path) -> None:
    def dying() -> Number:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cells(tmp_path).get(("a",), Number, dying)
    assert not list(tmp_path.iterdir())
