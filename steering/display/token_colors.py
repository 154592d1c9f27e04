"""Tokens as HTML, each on the colour of its reading."""

from collections.abc import Sequence
from html import escape

import numpy as np

from steering.explore.token_readings import TokenReading

COLORS = "PuOr_r"
"""A diverging palette (matplotlib) that colour-blind readers can tell apart: violet below the middle, orange above."""
SPREADS = 3.0
"""Readings so many spreads from the middle have the palette's end colours."""


def colored_tokens(readings: Sequence[TokenReading], name: str, beside: Sequence[TokenReading] | None = None) -> str:
    """The tokens as HTML spans, coloured by one readout; its figure shows on hovering.

    Colours are relative to the tokens shown: the middle is their median, the spread 1.4826 median deviations (the
    standard deviation of a normal distribution), so that the first token's huge state doesn't drown the rest. Texts
    that are to be compared need one scale: give the tokens of all of them as `beside`.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    values = np.array([reading.readings[name] for reading in readings])
    compared = values if beside is None else np.array([reading.readings[name] for reading in beside])
    middle = np.median(compared) if len(compared) else 0.0
    spread = 1.4826 * np.median(np.abs(compared - middle)) if len(compared) else 1.0
    places = 0.5 + (values - middle) / (2 * SPREADS * max(spread, 1e-12))
    return "".join(
        _span(reading.token, to_hex(color), f"{name} {value:+.2f}")
        for reading, color, value in zip(readings, colormaps[COLORS](places.clip(0, 1)), values, strict=True)
    )


def _span(token: str, background: str, title: str) -> str:
    text = escape(token).replace("\n", "⏎<br>")
    color = "#000000" if _luminance(background) > 0.179 else "#ffffff"  # the better contrast of the two (WCAG 2)
    style = f"background:{background};color:{color};white-space:pre-wrap"
    return f'<span style="{style}" title="{escape(title)}">{text}</span>'


def _luminance(color: str) -> float:
    """Relative luminance (WCAG 2) of `#rrggbb`."""
    channels = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
