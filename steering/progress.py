"""What long work says of itself before it starts: what it will do, and about how long that takes."""

import sys

from tqdm.auto import tqdm

LONG = 20.0
"""Seconds from which on work is announced."""


def announce(what: str, seconds: float, shown: bool = True) -> None:
    """Say on stderr what will be done and how long it will take, unless that is soon.

    Args:
        what: in words, such as `calibrating: 10 spans of layers`.
        seconds: as a first part of the work, which was timed, lets expect.
        shown: whether to say anything.

    Example:
        >>> announce("reading 448 pairs", seconds=4.0)
    """
    if shown and seconds >= LONG:
        tqdm.write(f"{what}, about {duration(seconds)}", file=sys.stderr)


def duration(seconds: float) -> str:
    """A time in round words.

    Example:
        >>> duration(30.0), duration(260.0), duration(5000.0)
        ('30 s', '4 min', '1.4 h')
    """
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
