"""Tokens as HTML, each on the color of its reading."""

from collections.abc import Sequence
from html import escape

import numpy as np

COLORS = "PuOr_r"
"""A diverging palette (matplotlib) that color-blind readers can tell apart: violet below the middle, orange above."""
SPREADS = 3.0
"""Readings so many spreads from the middle have the palette's end colors."""


def colored_spans(tokens: Sequence[str], values: Sequence[float], name: str, beside: Sequence[float]) -> str:
    """The tokens as HTML spans, colored by their values, which show on hovering.

    Colors are relative to the values `beside`: the middle is their median, the spread 1.4826 median deviations (the
    standard deviation of a normal distribution), so that the first token's huge activation doesn't drown the rest.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    middle = np.median(beside) if len(beside) else 0.0
    spread = 1.4826 * np.median(np.abs(np.array(beside) - middle)) if len(beside) else 1.0
    places = 0.5 + (np.array(values) - middle) / (2 * SPREADS * max(spread, 1e-12))
    return "".join(
        _span(token, to_hex(color), f"{name} {value:+.2f}")
        for token, color, value in zip(tokens, colormaps[COLORS](places.clip(0, 1)), values, strict=True)
    )


def _span(token: str, background: str, title: str) -> str:
    color = "#000000" if _luminance(background) > 0.179 else "#ffffff"  # the better contrast of the two (WCAG 2)
    style = f"background:{background};color:{color};white-space:pre-wrap"
    text = escape(token).replace("\n", "⏎<br>")
    return f'<span style="{style}" title="{escape(title)}">{text}</span>'


def _luminance(color: str) -> float:
    """Relative luminance (WCAG 2) of `#rrggbb`."""
    channels = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
