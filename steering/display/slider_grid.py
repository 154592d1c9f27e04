"""The values that a slider on a page stops at."""

import math
import sys


def slider_grid(limits: tuple[float, float]) -> tuple[float, float, float]:
    """Lowest value, highest and step: a round step, of which all values are multiples; 0 is among them.

    A slider spans its vector's range, and reaches to 0 where that lies outside: beyond it nobody has looked.
    """
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    span = min(high - low, sys.float_info.max)
    step = max(10 ** math.floor(math.log10(span)) / 20, sys.float_info.min) if span else 0.05
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return _rounded(first * step), _rounded(last * step), _rounded(step)


def _rounded(value: float) -> float:
    """Without the last digits, which come of binary fractions."""
    return float(f"{value:.12g}")
