"""Values in words."""

from collections.abc import Mapping, Sequence

LONGEST_LABEL = 100
"""Characters of a name in a picture."""


def setting_label(setting: Mapping[str, float]) -> str:
    """A setting of the sliders: `safety +1, helpfulness 0`; `bare` where all are at 0."""
    if not any(setting.values()):
        return "bare"
    return ", ".join(f"{name} {value:+g}" if value else f"{name} 0" for name, value in setting.items())


def layer_spans(layers: Sequence[int]) -> str:
    """`(3, 4, 5, 9)` as `3-5, 9`."""
    spans: list[list[int]] = []
    for layer in layers:
        if spans and layer == spans[-1][1] + 1:
            spans[-1][1] = layer
        else:
            spans.append([layer, layer])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def signed(number: float) -> str:
    """A number in three digits with the minus of typesetters: `−0.5`."""
    return f"{number:.3g}".replace("-", "−")


def picture_label(name: str) -> str:
    """A name as pictures show it: cut where it is long, since drawing takes time by the letter."""
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…"
