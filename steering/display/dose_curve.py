"""A slider's measured effects by its value, with the present value on the curve: a small SVG, written by hand.

Notebooks show it as an image. The studio puts it into its page, where style sheets recolor the classes and a script
moves the mark along the polyline.
"""

from collections.abc import Sequence
from html import escape
from textwrap import wrap

from steering.display.labels import signed

WIDTH, PLOT = 288, 64
"""Of the picture, and the height of the curve, in pixels."""
SIDE, LINE = 10, 14
"""Room at both sides, and the height of a line of text."""
INK, CURVE, NOW = "#1b1f24", "#0072B2", "#D55E00"


def dose_curve_svg(values: Sequence[float], effects: Sequence[float], label: str, now: float) -> str:
    """Draw a dose curve.

    Args:
        values: of the slider, ascending.
        effects: measured at the values; straight lines in between.
        label: what the effects are.
        now: the slider's value, which is marked if it lies in the measured ones.

    Returns:
        An `<svg>` on white ground, 288 pixels wide.
    """
    title = wrap(label, 42)
    low, high = min(*effects, 0.0), max(*effects, 0.0)
    bottom = LINE * (len(title) + 2) + 4 + PLOT

    def x(value: float) -> float:
        return round(SIDE + (WIDTH - 2 * SIDE) * (value - values[0]) / (values[-1] - values[0]), 2)

    def y(effect: float) -> float:
        return round(bottom - PLOT * (effect - low) / ((high - low) or 1.0), 2)

    def rule(effect: float) -> str:
        """A level line, with its figure at the end from which the curve keeps away."""
        at_left = abs(effect - effects[0]) > abs(effect - effects[-1])
        across, anchor = (SIDE, "start") if at_left else (WIDTH - SIDE, "end")
        dashes = "" if effect else ' stroke-dasharray="3 3"'
        line = f'<path class="rule" d="M{SIDE} {y(effect)}H{WIDTH - SIDE}" stroke="{INK}" opacity=".3"{dashes}/>'
        is_clear = not effect or abs(y(effect) - y(0)) > LINE
        return line + (
            _text(across, y(effect) - 3, f"{'+' * (effect > 0)}{signed(effect)}", anchor) if is_clear else ""
        )

    points = [(x(value), y(effect)) for value, effect in zip(values, effects, strict=True)]
    anchors = {values[-1]: "end", 0.0: "middle", values[0]: "start"}
    effect = interpolated(values, effects, now)
    place = 'visibility="hidden"' if effect is None else f'transform="translate({x(now)} {y(effect)})"'
    told = f'<tspan fill="{NOW}" class="sign">◆</tspan> <tspan class="told">{effect_at(values, effects, now)}</tspan>'
    parts = [
        '<rect class="ground" width="100%" height="100%" fill="#fff"/>',
        *(_text(SIDE, LINE * number - 2, escape(words)) for number, words in enumerate(title, 1)),
        _text(WIDTH - SIDE, LINE * (len(title) + 1) - 2, told, "end"),
        *map(rule, sorted({low, 0.0, high})),
        *(_text(x(value), bottom + LINE + 2, signed(value), anchor) for value, anchor in anchors.items()),
        f'<polyline class="curve" points="{" ".join(f"{across},{down}" for across, down in points)}" '
        f'fill="none" stroke="{CURVE}" stroke-width="2"/>',
        *(f'<circle class="dot" cx="{across}" cy="{down}" r="2.5" fill="{CURVE}"/>' for across, down in points),
        f'<path class="now" d="M0-6 6 0 0 6-6 0Z" fill="{NOW}" stroke="#fff" stroke-width="1.5" {place}/>',
    ]
    height = bottom + LINE + 8
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def effect_at(values: Sequence[float], effects: Sequence[float], value: float) -> str:
    """The effect at a value in words.

    Args:
        values: as of `dose_curve_svg`.
        effects: as of `dose_curve_svg`.
        value: of the slider.

    Returns:
        `at 0.5: +0.34`.
    """
    effect = interpolated(values, effects, value)
    found = "not measured" if effect is None else f"{effect:+.2f}".replace("-", "−")
    return f"at {signed(value)}: {found}"


def interpolated(values: Sequence[float], effects: Sequence[float], value: float) -> float | None:
    """The effect on the straight line between measured ones; None beyond them.

    Args:
        values: as of `dose_curve_svg`.
        effects: as of `dose_curve_svg`.
        value: of the slider.

    Returns:
        In the effects' unit.
    """
    for left, right, before, after in zip(values, values[1:], effects, effects[1:], strict=False):
        if left <= value <= right:
            return before + (after - before) * (value - left) / (right - left)
    return None


def _text(across: float, down: float, content: str, anchor: str = "start") -> str:
    return f'<text x="{across}" y="{down}" text-anchor="{anchor}" fill="{INK}">{content}</text>'
