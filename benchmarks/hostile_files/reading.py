"""A process that reads files within limits of memory, while another one keeps the time."""

import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, TypeAlias

import psutil

Outcome: TypeAlias = Literal["read", "refused", "traceback", "hang", "memory", "crash", "pickle"]
MEMORY = 1 << 30
"""Bytes that a reader may take on top of what the process has with all libraries loaded."""
SECONDS = 10.0
"""Of computing for one file; a reader that only waits has ten times as long."""


class Reader:
    """Reads one file after another in a process of its own, which is replaced when it hangs or dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, there = context.Pipe()
        home = Path(tempfile.mkdtemp(dir=self._folder))
        self._process = context.Process(target=_serve, args=(there, home), daemon=True)
        self._process.start()
        there.close()
        self.kinds: Sequence[tuple[str, Path]] = self._connection.recv()

    def read(self, sample: int, path: Path) -> tuple[Outcome, str]:
        """What became of reading this file as that sample is read, and the words of it."""
        self._connection.send((sample, str(path)))  # a Path would be unpickled by name
        try:
            if self._answers():
                found: tuple[Outcome, str] = self._connection.recv()
                return found
            outcome: Outcome = "hang"
        except EOFError:
            outcome = "crash"
        self._process.kill()
        self._process.join()
        self._start()
        return outcome, outcome

    def _answers(self) -> bool:
        """Whether it is done within `SECONDS` of its own computing: other work on the machine is no hang."""
        process, begin = psutil.Process(self._process.pid), time.monotonic()
        computed = sum(process.cpu_times()[:2])
        while not self._connection.poll(0.2):
            if sum(process.cpu_times()[:2]) - computed > SECONDS or time.monotonic() - begin > 10 * SECONDS:
                return False
        return True

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, folder: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # nothing of broken models stays behind
    from benchmarks.hostile_files.samples import samples

    warnings.simplefilter("ignore")
    known = list(samples(folder))
    pickles = _watch_pickles()
    connection.send([(sample.kind, sample.path) for sample in known])
    resource.setrlimit(resource.RLIMIT_AS, (_virtual() + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        number, path = connection.recv()
        found = outcome_of(known[number].read, Path(path))
        connection.send(("pickle", pickles.pop()) if pickles else found)


def outcome_of(read: Callable[[Path], object], path: Path) -> tuple[Outcome, str]:
    """What becomes of reading the file, and the words of it."""
    from steering import SteeringError

    try:
        read(path)
    except SteeringError as error:
        return ("memory" if _ran_out(error) else "refused"), str(error)
    except BaseException as error:
        return ("memory" if _ran_out(error) else "traceback"), "".join(traceback.format_exception(error)[-6:])
    return "read", ""


def _ran_out(error: BaseException | None) -> bool:
    """Whether memory ran out, whatever it was dressed up as afterwards."""
    while error is not None:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _watch_pickles() -> list[str]:
    """Names that any unpickler looks up from now on."""
    seen: list[str] = []
    sys.addaudithook(lambda event, found: seen.append(str(found)) if event == "pickle.find_class" else None)
    return seen


def _virtual() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
