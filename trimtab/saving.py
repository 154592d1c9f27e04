"""Putting down what a command has made, so that a full disk costs no work."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from steering.atomic_write import check_file, check_folder
from steering.errors import SteeringError
from trimtab.terminal import echo


def check_places(*files: str | None, folders: Sequence[str | None] = ()) -> None:
    """Raise SteeringError where nothing could be written, before long work.

    Args:
        files: to be written; None stands for one that isn't asked for.
        folders: to be written to, likewise.
    """
    for file in files:
        if file is not None:
            check_file(file)
    for folder in folders:
        if folder is not None:
            check_folder(folder)


def save(write: Callable[[Path], object], out: str) -> Path:
    """Write to `out`; where that fails, to a path that the user then names, or without a terminal to a safe place.

    Args:
        write: writes to a path, whole or not at all.
        out: the file or folder.

    Returns:
        Where it was written.

    Raises:
        SteeringError: without a terminal, when `out` can't be written. It says where else what was made now is.
    """
    path = Path(out)
    while True:
        try:
            write(path)
            return path
        except SteeringError as error:
            if not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise SteeringError(f"{error} {_kept(write, path.resolve().name)}") from error
            echo(f"Error: {error}", err=True)
        path = Path(typer.prompt("Write it to another path", err=True)).expanduser()


def _kept(write: Callable[[Path], object], name: str) -> str:
    """Write to a new folder among the system's temporary ones, and say so."""
    path = Path(tempfile.mkdtemp(prefix="trimtab-")) / name
    try:
        write(path)
    except SteeringError as error:
        path.parent.rmdir()
        return f"Nor could it be kept elsewhere: {error}"
    return f"What was made is kept in {str(path)!r}."
