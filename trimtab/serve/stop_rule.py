"""Rules that end an answer by what an axis reads at its tokens."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from typing_extensions import Self

from steering.errors import SteeringError

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class StopRule:
    """A comparison with a number, which a reading may fulfil.

    Example:
        >>> StopRule.parse("> 0.9").holds(1.5)
        True
    """

    comparison: str
    number: float

    @classmethod
    def parse(cls, text: object) -> Self:
        """The rule that a text such as `> 0.9` states. Raises SteeringError for anything else."""
        found = re.fullmatch(
            r"\s*([<>]=?)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*", text if isinstance(text, str) else ""
        )
        try:
            number = float(found[2]) if found else math.nan
        except ValueError:  # such as 1.2.3
            number = math.nan
        if found is None or not math.isfinite(number):
            raise SteeringError("expected a comparison with a number such as '> 0.9', with >, >=, < or <=")
        return cls(found[1], number)

    def holds(self, reading: float) -> bool:
        """Whether a reading fulfils it."""
        return COMPARISONS[self.comparison](reading, self.number)

    def __str__(self) -> str:
        return f"{self.comparison} {self.number:g}"
