"""Runs notebooks from a clean kernel: `python notebooks/run.py` writes the outputs of all, or of those that are named."""

import os
import sys
from functools import cache
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from steering import load

FOLDER = Path(__file__).parent
NOTEBOOKS = sorted(FOLDER.glob("[0-9]_*.ipynb"))


@cache
def convert_the_model() -> None:
    """Into the cache: the notebook that did it first would show transformers' progress bar, whatever its environment says."""
    load("smollm2-135m-instruct")


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with fresh outputs. Raises nbclient's CellExecutionError at the first error.

    Without progress bars, whose outputs nobody wants to keep.
    """
    convert_the_model()
    notebook = nbformat.read(path, as_version=4)
    environment = os.environ | {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    client = NotebookClient(
        notebook,
        timeout=600,
        startup_timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
    )
    client.execute(env=environment)
    return notebook


if __name__ == "__main__":
    for path in [Path(name) for name in sys.argv[1:]] or NOTEBOOKS:
        print(path.name, flush=True)
        nbformat.write(executed(path), path)
