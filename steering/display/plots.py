"""Pictures as SVG text (matplotlib): white ground, so that light and dark pages show them alike.

They are drawn without pyplot: a notebook's own figures keep their backend.
"""

import io
import warnings
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from steering.display.labels import picture_label

STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "trimtab", "font.family": "sans-serif"}
STYLE["text.parse_math"] = False  # names are the user's, and may have a dollar sign
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, the yellow left out: it is too light on white."""
MARKERS = "osD^vPX"


@contextmanager
def svg_figure(columns: int, width: float, height: float, svg: list[str], rows: int = 1) -> Iterator[tuple[Any, Any]]:
    """A figure of so many inches and its panels, row by row; appended to `svg` at the end."""
    import matplotlib
    from cycler import cycler
    from matplotlib.figure import Figure

    style = matplotlib.rc_context(STYLE | {"axes.prop_cycle": cycler(color=COLORS)})
    with style, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # text stays text, and a viewer has more fonts
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(rows, columns, squeeze=False).ravel()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    svg.append(text[text.index("<svg") :])


def as_image(svg: str, description: str) -> str:
    """The picture as an HTML image, with words for those who don't see it."""
    source = f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
    return f'<img src="{source}" alt="{escape(description)}" style="max-width:100%">'


@dataclass(frozen=True)
class LayerFigures:
    """What is known of a vector by layer."""

    layers: tuple[int, ...]
    moved: tuple[int, ...]
    """Layers that the slider moves."""
    auroc: tuple[float, ...]
    """Held-out AUROC."""
    pair_cosine: tuple[float, ...]
    """Mean cosine of held-out pair differences with the direction."""
    relative_norm: tuple[float, ...]
    """Norm of the direction over that of the residual stream."""


def layer_profile(figures: Mapping[str, LayerFigures]) -> str:
    """Held-out AUROC, pair cosine and relative norm by layer, moved layers shaded; "" for no figures."""
    if not figures:
        return ""
    svg: list[str] = []
    titles = "Held-out AUROC", "Held-out pair cosine", "Direction / residual norm"
    with svg_figure(3, 12, 3.4, svg) as (figure, panels):
        for (name, found), marker in zip(figures.items(), MARKERS * len(figures), strict=False):
            curves = found.auroc, found.pair_cosine, found.relative_norm
            for panel, title, curve in zip(panels, titles, curves, strict=True):
                (line,) = panel.plot(found.layers, curve, marker=marker, markersize=3, label=picture_label(name))
                shade_layers(panel, found.moved, line.get_color())
                panel.set(title=title, xlabel="layer (output of block)")
        panels[0].axhline(0.5, color="gray", linewidth=0.8, linestyle=":")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(figures))
    return svg[0]


def shade_layers(panel: Any, layers: Sequence[int], color: str) -> None:
    """Mark the layers that a slider moves."""
    for layer in layers:
        panel.axvspan(layer - 0.5, layer + 0.5, color=color, alpha=0.1, linewidth=0)


def score_moves(scores: Sequence[tuple[str, float, float, float]]) -> str:
    """One line a score, from the bare model's value to the present one.

    A score is its name with the unit, bare, now, and how far the axis reaches to both sides of bare at least.
    """
    svg: list[str] = []
    with svg_figure(1, 4.8, 0.95 * len(scores), svg, rows=len(scores)) as (_, panels):
        for panel, (name, bare, now, reach) in zip(panels, scores, strict=True):
            panel.axvline(bare, color="gray", linewidth=0.8, linestyle=":")
            panel.plot([bare, now], [0, 0], color=COLORS[0], linewidth=2)
            panel.plot(bare, 0, marker="o", markersize=9, markerfacecolor="white", color="black")
            panel.plot(now, 0, marker="D", markersize=7, color=COLORS[1])
            reach = max(reach, 1.25 * abs(now - bare))
            panel.set(xlim=(bare - reach, bare + reach), ylim=(-1, 1), yticks=[])
            panel.set_title(f"{picture_label(name)}: bare ○ {bare:+.2f}, now ◆ {now:+.2f}", fontsize=8, loc="left")
            panel.tick_params(labelsize=8)
            panel.spines[["left", "right", "top"]].set_visible(False)
    return svg[0]
