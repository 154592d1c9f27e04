"""Files that the page sends, or names on the studio's machine: only regular ones of bounded size are opened."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from steering.errors import SteeringError

MAX_FILE_BYTES = 100_000_000
"""Size of a vector or a report at most, and of each file that describes a model."""
DESCRIPTIONS = (".json", ".jinja", ".txt", ".model")
"""How the files in a model's folder end that are read whole; weights may be of any size."""


@contextmanager
def opened(path: str) -> Iterator[Path]:
    """A copy of the file at a path, while the body runs: nothing that happens to the file itself matters any more.

    Raises SteeringError for what isn't a regular file of `MAX_FILE_BYTES` at most.
    """
    file = Path(os.path.expanduser(path))
    try:
        _check_regular(file, os.stat(file), MAX_FILE_BYTES)  # some devices do something when they are opened
        with open(file, "rb", opener=_without_waiting) as content:
            _check_regular(file, os.fstat(content.fileno()), MAX_FILE_BYTES)
            found = content.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    with uploaded(found, file.name) as copy:
        yield copy


@contextmanager
def uploaded(content: bytes, name: str) -> Iterator[Path]:
    """The content as a file while the body runs, under a name that errors may show."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            yield path
        except SteeringError as error:
            raise SteeringError(str(error).replace(f"{folder}/", "")) from error


def check_model(name: str) -> None:
    """Raise SteeringError for a model's file or folder with anything to read in it but regular files of bounded size.

    Names that are no path here, such as a Hub id's, pass.
    """
    path = Path(os.path.expanduser(name))
    try:
        if not path.exists():
            return
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.exists() and not file.is_dir():
                limit = MAX_FILE_BYTES if file.suffix in DESCRIPTIONS else None
                _check_regular(file, os.stat(file), limit)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error


def _check_regular(file: Path, found: os.stat_result, limit: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{file.name!r} is no regular file")
    if limit is not None and found.st_size > limit:
        raise ValueError(f"{file.name!r} has {found.st_size} bytes, more than {limit}")


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file; where a FIFO has taken its place meanwhile, without waiting for somebody to write to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _unreadable(path: str, error: Exception) -> SteeringError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return SteeringError(f"Can't read {path!r}: {reason}; check the path.")
