"""The pictures of reports, as SVG text to put into a page (matplotlib; colors that the color-blind tell apart)."""

from collections.abc import Mapping, Sequence
from itertools import cycle, product

import numpy as np
from numpy.typing import NDArray

from probes.frontier import Point, or_bench_points, pareto_front
from probes.intervals import mean_with_interval
from probes.slider_effects import CrossEffects
from steering.display.labels import picture_label
from steering.display.plots import COLORS, MARKERS, shade_layers, svg_figure


def by_layer(
    name: str,
    layers: Sequence[int],
    moved: Sequence[int],
    values: Sequence[float],
    unit: str,
    reference: float | None = None,
) -> str:
    """One curve over a vector's layers, moved layers shaded."""
    svg: list[str] = []
    with svg_figure(1, 5, 3, svg) as (_, (panel,)):
        (line,) = panel.plot(layers, values, marker="o", markersize=3)
        shade_layers(panel, moved, line.get_color())
        if reference is not None:
            panel.axhline(reference, color="gray", linewidth=0.8, linestyle=":")
        panel.set(
            title=f"{picture_label(name)} (shaded: layers that the slider moves)",
            xlabel="layer (output of block)",
            ylabel=unit,
        )
        panel.xaxis.get_major_locator().set_params(integer=True)
    return svg[0]


def effect_matrix(effects: CrossEffects, unit: str) -> str:
    """The cross-effect matrix as a heat map, every slope with its interval."""
    svg: list[str] = []
    values = np.array([[estimate.value for estimate in row] for row in effects.slopes])
    with svg_figure(1, 2.6 + 1.9 * len(effects.sliders), 1.3 + 0.75 * len(effects.scores), svg) as (figure, (panel,)):
        limit = max(float(np.abs(values).max()), 1e-9)
        image = panel.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
        for i, row in enumerate(effects.slopes):
            for j, estimate in enumerate(row):
                dark = abs(estimate.value) > 0.6 * limit
                text = f"{estimate.value:+.2f}\n[{estimate.low:+.2f}, {estimate.high:+.2f}]"
                panel.text(j, i, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
        panel.set_xticks(range(len(effects.sliders)), map(picture_label, effects.sliders))
        panel.set_yticks(range(len(effects.scores)), map(picture_label, effects.scores))
        panel.set(xlabel="slider", ylabel="score")
        figure.colorbar(image, label=unit)
    return svg[0]


def frontier(methods: Mapping[str, Sequence[Point]]) -> str:
    """Share of harmful prompts refused against share of look-alikes answered, with OR-Bench's published models."""
    svg: list[str] = []
    published, limits = or_bench_points(), (-0.03, 1.03)
    with svg_figure(1, 8, 5.6, svg) as (_, (panel,)):
        panel.scatter(
            [point.helpfulness for point in published],
            [point.safety for point in published],
            s=14,
            color="#999999",
            label=f"{len(published)} models published by OR-Bench (other prompts, other judge)",
        )
        for (name, points), color, marker in zip(methods.items(), cycle(COLORS), cycle(MARKERS), strict=False):
            best = pareto_front(points)
            xs, ys = [p.helpfulness for p in points], [p.safety for p in points]
            panel.scatter(xs, ys, color=color, marker=marker, label=picture_label(name))
            panel.plot([p.helpfulness for p in best], [p.safety for p in best], color=color, linewidth=1)
            for p in points:
                if p.label == "bare":
                    panel.annotate("bare", (p.helpfulness, p.safety), xytext=(5, -12), textcoords="offset points")
        panel.set(xlabel="share of look-alikes answered", ylabel="share of harmful prompts refused")
        panel.set(xlim=limits, ylim=limits)
        panel.grid(alpha=0.3)
        panel.legend(loc="lower left", fontsize=8)
    return svg[0]


def dose_response(curves: Mapping[str, Mapping[str, tuple[Sequence[float], NDArray[np.float64]]]]) -> str:
    """Mean of every score along every slider, the others at 0, with 95 % bands.

    `curves[slider][score]` are the slider's values, and (values, prompts) of the score, the same scores everywhere.
    """
    svg: list[str] = []
    columns, names = len(curves), list(next(iter(curves.values())))
    with svg_figure(columns, 4.6 * columns, 2.4 * len(names), svg, rows=len(names)) as (_, panels):
        for panel, (name, slider) in zip(panels, product(names, curves), strict=True):
            values, found = curves[slider][name]
            estimates = [mean_with_interval(prompts) for prompts in found]
            panel.plot(values, [estimate.value for estimate in estimates], marker="o")
            low, high = [estimate.low for estimate in estimates], [estimate.high for estimate in estimates]
            panel.fill_between(values, low, high, alpha=0.2, linewidth=0)
            panel.set(title=picture_label(name), xlabel=f"slider {picture_label(slider)}")
            panel.grid(alpha=0.3)
    return svg[0]
