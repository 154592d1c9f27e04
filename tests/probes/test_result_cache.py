"""Results are computed once, kept whole, and computed anew where the file is damaged."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from probes.result_cache import ResultCache


class Number(BaseModel):
    value: float


class Other(BaseModel):
    value: float


def test_a_result_is_computed_once_for_its_key_and_kind(tmp_path: Path) -> None:
    calls = []

    def compute() -> Number:
        calls.append(1)
        return Number(value=0.1 + 0.2)

    cache = ResultCache(tmp_path / "made")
    assert cache.get(("a", {"x": 1, "y": 2}), Number, compute).value == 0.1 + 0.2
    assert cache.get(("a", {"y": 2, "x": 1}), Number, compute).value == 0.1 + 0.2
    assert len(calls) == 1
    cache.get(("b",), Number, compute)
    assert ResultCache(tmp_path / "made").get(("b",), Other, lambda: Other(value=7.0)).value == 7.0
    assert len(calls) == 2


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ResultCache().get(("a",), Number, lambda: Number(value=1.0)).value == 1.0
    assert ResultCache().get(("a",), Number, lambda: Number(value=2.0)).value == 2.0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b'{"value": ', b"\xff\xfe", b"[]"])
def test_a_damaged_result_is_computed_anew(tmp_path: Path, content: bytes) -> None:
    ResultCache(tmp_path).get(("a",), Number, lambda: Number(value=1.0))
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert ResultCache(tmp_path).get(("a",), Number, lambda: Number(value=3.0)).value == 3.0
    assert ResultCache(tmp_path).get(("a",), Number, lambda: Number(value=4.0)).value == 3.0


def test_a_result_that_does_not_fit_is_computed_anew(tmp_path: Path) -> None:
    def above_two(result: Number) -> bool:
        return result.value > 2

    ResultCache(tmp_path).get(("a",), Number, lambda: Number(value=1.0))
    assert ResultCache(tmp_path).get(("a",), Number, lambda: Number(value=3.0), above_two).value == 3.0
    assert ResultCache(tmp_path).get(("a",), Number, lambda: Number(value=4.0), above_two).value == 3.0


def test_an_interrupted_result_leaves_no_file(tmp_path: Path) -> None:
    def dying() -> Number:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ResultCache(tmp_path).get(("a",), Number, dying)
    assert not list(tmp_path.iterdir())
