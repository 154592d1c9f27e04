"""The notebooks run from a clean kernel without an error, and what is committed was run that way."""

from itertools import groupby
from pathlib import Path

import nbformat
import pytest

from notebooks.run import NOTEBOOKS, executed

LARGEST = 400_000
"""Bytes of a notebook with its outputs."""


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(outputs: list[nbformat.NotebookNode]) -> list[str]:
    """What was shown, in order; printed text counts once, as a warning in between may cut it into pieces."""
    shown = [output.output_type for output in outputs if output.get("name") != "stderr"]
    return [kind for kind, _ in groupby(shown)]


def test_there_are_seven() -> None:
    assert [path.name[0] for path in NOTEBOOKS] == list("1234567")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs_are_those_of_one_run_in_order(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert path.stat().st_size < LARGEST


@pytest.mark.real
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_clean_kernel_runs_it_and_shows_as_much(path: Path) -> None:
    """The same kinds of outputs in every cell; their content may differ from machine to machine, as may warnings."""
    saved = code_cells(nbformat.read(path, as_version=4))
    for cell, before in zip(code_cells(executed(path)), saved, strict=True):
        assert kinds(cell.outputs) == kinds(before.outputs)
