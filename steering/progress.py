"""What long work says of itself: what it does and about how long that takes, then a bar that keeps to it."""

import sys

from tqdm.auto import tqdm

LONG = 20.0
"""Seconds from which on work is announced."""


class Progress(tqdm):  # type: ignore[type-arg]  # tqdm's classes take no arguments when they run
    """A bar on stderr which says in words, as soon as its first units have been timed, how long the rest will take.

    Example:
        >>> [setting for setting in Progress([0, 1], desc="scores", unit="setting", disable=True)]
        [0, 1]
    """

    _is_announced = False

    def update(self, n: float | None = 1) -> bool | None:
        """Move the bar on.

        Args:
            n: how many units were done.
        """
        moved = super().update(n)
        if not (self.disable or self._is_announced) and self.total and self.n:
            left = self.format_dict["elapsed"] / self.n * (self.total - self.n)
            self._is_announced = announce(f"{self.desc}: {self.total:g} {_plural(self.unit)}", left)
        return moved


def announce(what: str, seconds: float, shown: bool = True) -> bool:
    """Say on stderr what will be done and how long it will take, unless that is soon.

    Args:
        what: in words, such as `calibrating: 10 spans of layers`.
        seconds: as a first part of the work, which was timed, lets expect.
        shown: whether to say anything.

    Returns:
        Whether something was said.

    Example:
        >>> announce("reading 448 pairs", seconds=4.0)
        False
    """
    if not shown or seconds < LONG:
        return False
    tqdm.write(f"{what}, about {duration(seconds)}", file=sys.stderr)
    return True


def duration(seconds: float) -> str:
    """A time in round words.

    Example:
        >>> duration(30.0), duration(260.0), duration(5000.0)
        ('30 s', '4 min', '1.4 h')
    """
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _plural(unit: str) -> str:
    return f"{unit}es" if unit.endswith(("s", "sh", "ch")) else f"{unit}s"
