"""The values that a slider on a page stops at."""

import math


def slider_grid(limits: tuple[float, float]) -> tuple[float, float, float]:
    """Lowest value, highest and step: a round step, of which all values are multiples; 0 is among them.

    A slider spans its vector's range, and reaches to 0 where that lies outside: beyond it nobody has looked.
    """
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    step = 10 ** math.floor(math.log10(high - low)) / 20 if high > low else 0.05
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return round(first * step, 12), round(last * step, 12), round(step, 12)
