"""Writing files and folders so that a reader never sees half of one, whenever the writer is killed.

Until it is whole, what is written lies in a hidden temporary folder beside its place, `.trimtab-` and eight digits,
with all that other libraries leave beside what they write. The folder is locked while its writer lives; those of
writers that were killed are removed by the next one in the same place.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE

from steering.errors import SteeringError, first_line

_PREFIX = ".trimtab-"
_TEMPORARY = re.compile(rf"{re.escape(_PREFIX)}[0-9a-f]{{8}}")


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file whole or not at all: yield a temporary path, put in place when the body has written there.

    A symbolic link is followed to the file that it names, and a file that is replaced keeps its mode. The body does
    nothing but write: whatever it raises becomes a sentence about `path`.

    Args:
        path: the file to create or to replace.

    Raises:
        SteeringError: for a folder, a device and the like, and where nothing can be written, such as on a full disk.
    """
    target = _file(path)
    with _temporary_folder(target.parent, path) as temporary:
        yield temporary / target.name
        _put(temporary / target.name, target)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Write a folder whole or not at all: yield a temporary one, renamed to `path` when the body has written there.

    Args:
        path: the folder to make; an empty one may be there.

    Raises:
        SteeringError: when `path` exists and isn't an empty folder, when its parent doesn't exist, and where nothing
            can be written, such as on a full disk.
    """
    target = Path(os.path.realpath(path))
    with _sentences(path):
        if target.exists() and not _is_empty(target):
            raise SteeringError(f"Can't write {str(path)!r}: it exists and isn't an empty folder; name a new one.")
        _check_parent(target, path)
    with _temporary_folder(target.parent, path) as temporary:
        made = temporary / target.name
        made.mkdir()
        yield made
        mode = _new_mode(temporary)
        for entry in (*made.rglob("*"), made):
            if entry.is_dir():
                _sync_folder(entry)
            else:
                _finish(entry, mode)
        made.replace(target)
        _sync_folder(target.parent)


@contextmanager
def files_in(path: str | Path) -> Iterator[Path]:
    """Write several files into a folder, each whole: yield a temporary folder, whose files are put in place at the end.

    All at once where the folder is new or empty; else one after the other, and other files there stay as they are.

    Args:
        path: the folder, made where it doesn't exist, with those above it.

    Raises:
        SteeringError: where nothing can be written there, such as on a full disk.
    """
    target = Path(os.path.realpath(path))
    with _sentences(path):
        is_new = not target.is_dir() or _is_empty(target)
    if is_new:
        make_folder(target.parent)
        with new_folder(path) as temporary:
            yield temporary
    else:
        with _temporary_folder(target, path) as temporary:
            yield temporary
            for file in sorted(temporary.iterdir()):
                _put(file, _file(target / file.name))


def make_folder(path: str | Path) -> Path:
    """A folder to write to, made with those above it where it doesn't exist.

    Args:
        path: the folder.

    Raises:
        SteeringError: where it can't be made.
    """
    with _sentences(path):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


def check_file(path: str | Path) -> None:
    """Raise SteeringError where `atomic_write` could write nothing: before long work.

    Args:
        path: the file to be written.
    """
    with _temporary_folder(_file(path).parent, path):
        pass


def check_folder(path: str | Path) -> None:
    """Raise SteeringError where `files_in` could write nothing: before long work.

    Args:
        path: the folder to be written to.
    """
    target = Path(os.path.realpath(path))
    with _sentences(path):
        there = next(folder for folder in (target, *target.parents) if folder.exists())
    with _temporary_folder(there, path):
        pass


def _file(path: str | Path) -> Path:
    """The file that a path names, behind symbolic links. Raises SteeringError where no file can be put."""
    with _sentences(path):
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise SteeringError(f"Can't write {str(path)!r}: it is a folder; name a file in it.")
        if target.is_symlink() or (Path(path).exists() and not Path(path).is_file()):
            raise SteeringError(f"Can't write {str(path)!r}: it is no regular file; name one, or a new one.")
        _check_parent(target, path)
        if target.exists() and not os.access(target, os.W_OK):
            raise SteeringError(f"Can't write {str(path)!r}: it is write-protected; name another file.")
    return target


def _check_parent(target: Path, path: str | Path) -> None:
    if not target.parent.is_dir():
        raise SteeringError(f"Can't write {str(path)!r}: the folder {str(target.parent)!r} doesn't exist; create it.")


def _is_empty(folder: Path) -> bool:
    """Whether it is a folder with nothing in it; what killed writers left there is removed."""
    if not folder.is_dir():
        return False
    _sweep(folder)
    return not any(folder.iterdir())


@contextmanager
def _temporary_folder(beside: Path, path: str | Path) -> Iterator[Path]:
    """A locked folder in the folder `beside`, removed after the body; what is raised is a sentence about `path`."""
    with _sentences(path):
        _sweep(beside)
        folder, lock = _locked_folder(beside)
    try:
        with _sentences(path, folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder(beside: Path) -> tuple[Path, int]:
    """A new folder that no other user can read, and the descriptor that holds its lock until it is closed."""
    while True:
        folder = beside / f"{_PREFIX}{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        try:
            return folder, _lock(folder)
        except (BlockingIOError, FileNotFoundError):  # swept by another process before it was locked
            continue
        except OSError:  # a file system without locks: nobody sweeps there
            return folder, os.open(folder, os.O_RDONLY)


def _lock(folder: Path) -> int:
    """The descriptor that holds the folder's lock. Raises OSError where another holds it, or the folder has gone."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.lstat()
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep(folder: Path) -> None:
    """Remove the temporary folders in it whose writers are dead."""
    with suppress(PermissionError):  # a folder that may be written and not read
        for entry in folder.iterdir():
            if _TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):
                    lock = _lock(entry)
                    shutil.rmtree(entry, ignore_errors=True)
                    os.close(lock)


def _put(file: Path, target: Path) -> None:
    """Put a file that is whole in its place, with the mode and owner of the one that it replaces."""
    mode = _new_mode(file.parent)
    if target.exists():
        replaced = target.stat()
        mode = S_IMODE(replaced.st_mode)
        with suppress(PermissionError):
            os.chown(file, replaced.st_uid, replaced.st_gid)
    _finish(file, mode)
    file.replace(target)
    _sync_folder(target.parent)


def _new_mode(folder: Path) -> int:
    """What the umask leaves of a new file's mode; libraries that write temporary files of their own don't heed it."""
    probe = folder / f"{_PREFIX}mode"
    probe.touch()
    mode = S_IMODE(probe.stat().st_mode)
    probe.unlink()
    return mode


def _finish(file: Path, mode: int) -> None:
    """Bring a file to the disk, with its mode."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where its file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _sentences(path: str | Path, temporary: Path | None = None) -> Iterator[None]:
    """What is raised becomes a sentence about `path`; names in the temporary folder become those beside it."""
    try:
        yield
    except SteeringError as error:
        if temporary is None or str(temporary) not in str(error):
            raise
        raise SteeringError(str(error).replace(str(temporary), str(temporary.parent))) from error
    except Exception as error:  # libraries raise errors of their own for a full disk: SafetensorError, RuntimeError
        reason = getattr(error, "strerror", None) or first_line(error)
        if temporary is not None and not shutil.disk_usage(temporary).free:
            reason = "No space left on device"
        raise SteeringError(
            f"Can't write {str(path)!r}: {reason}; check the space left and your rights there, or choose another path."
        ) from error
