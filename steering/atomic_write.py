"""Writing files so that a reader never sees half of one, whenever the writer is killed."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steering.errors import SteeringError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file whole or not at all: to a temporary path beside it, renamed when the body succeeds.

    Raises SteeringError when `path` is a folder, or its folder doesn't exist or can't be written.
    """
    path = Path(path)
    if path.is_dir():
        raise SteeringError(f"Can't write {str(path)!r}: it is a folder; name a file in it.")
    if not path.parent.is_dir():
        raise SteeringError(f"Can't write {str(path)!r}: the folder {str(path.parent)!r} doesn't exist; create it.")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    try:
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise SteeringError(f"Can't write {str(path)!r}: {error.strerror}; choose another folder.") from error
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
