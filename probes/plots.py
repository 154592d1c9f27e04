"""The pictures of reports, as SVG text to put into a page (matplotlib; colours that the colour-blind tell apart)."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes.effects import CrossEffects, mean_with_interval
from probes.frontier import Frontier, Point, or_bench_points
from probes.vector_record import VectorRecord

STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "trimtab", "font.family": "sans-serif"}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, the yellow left out: it is too light on white."""
MARKERS = "osD^vPX"


@contextmanager
def _figure(columns: int, width: float, height: float, svg: list[str], rows: int = 1) -> Iterator[tuple[Any, Any]]:
    """A figure and its panels, written to `svg` at the end."""
    import matplotlib
    from cycler import cycler

    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context(STYLE | {"axes.prop_cycle": cycler(color=COLOURS)}):
        figure, panels = pyplot.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False)
        try:
            yield figure, panels.ravel()
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", metadata={"Date": None})
        finally:
            pyplot.close(figure)
    text = buffer.getvalue()
    svg.append(text[text.index("<svg") :])


def layer_profile(vectors: Mapping[str, VectorRecord]) -> str:
    """Held-out AUROC, pair cosine and relative norm by layer, moved layers shaded; "" where nothing is known."""
    known = {name: record for name, record in vectors.items() if record.profile is not None}
    if not known:
        return ""
    svg: list[str] = []
    titles = ("Held-out AUROC", "Held-out pair cosine", "Direction norm / residual norm")
    with _figure(3, 12, 3.4, svg) as (figure, panels):
        for (name, record), marker in zip(known.items(), MARKERS * len(known), strict=False):
            profile = record.profile
            assert profile is not None
            relative = [norm / residual for norm, residual in zip(record.norms, profile.residual_norm, strict=True)]
            for panel, title, curve in zip(panels, titles, (profile.auroc, profile.pair_cosine, relative), strict=True):
                (line,) = panel.plot(record.layers, curve, marker=marker, markersize=3, label=name)
                for layer in record.recommended_layers:
                    panel.axvspan(layer - 0.5, layer + 0.5, color=line.get_color(), alpha=0.08, linewidth=0)
                panel.set(title=title, xlabel="layer (output of block)")
        panels[0].axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(known))
    return svg[0]


def auroc_by_layer(name: str, record: VectorRecord) -> str:
    """One vector's held-out AUROC; "" where it isn't known."""
    return "" if record.profile is None else _by_layer(name, record, record.profile.auroc, "held-out AUROC", 0.5)


def push_by_layer(name: str, record: VectorRecord, unit: float) -> str:
    """How long the direction that slider value 1 stands for is."""
    return _by_layer(name, record, [unit * norm for norm in record.norms], "push norm (residual-stream units)")


def _by_layer(
    name: str, record: VectorRecord, values: Sequence[float], unit: str, reference: float | None = None
) -> str:
    """One curve over the layers, moved layers shaded."""
    svg: list[str] = []
    with _figure(1, 5, 3, svg) as (_, (panel,)):
        (line,) = panel.plot(record.layers, values, marker="o", markersize=3)
        for layer in record.recommended_layers:
            panel.axvspan(layer - 0.5, layer + 0.5, color=line.get_color(), alpha=0.12, linewidth=0)
        if reference is not None:
            panel.axhline(reference, color="grey", linewidth=0.8, linestyle=":")
        panel.set(title=f"{name} (shaded: layers that the slider moves)", xlabel="layer (output of block)", ylabel=unit)
        panel.xaxis.get_major_locator().set_params(integer=True)
    return svg[0]


def effect_matrix(effects: CrossEffects, unit: str) -> str:
    """The cross-effect matrix as a heat map, every slope with its interval."""
    svg: list[str] = []
    values = np.array([[estimate.value for estimate in row] for row in effects.slopes])
    with _figure(1, 2.6 + 1.9 * len(effects.sliders), 1.3 + 0.75 * len(effects.scores), svg) as (figure, (panel,)):
        limit = max(float(np.abs(values).max()), 1e-9)
        image = panel.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
        for i, row in enumerate(effects.slopes):
            for j, estimate in enumerate(row):
                dark = abs(estimate.value) > 0.6 * limit
                text = f"{estimate.value:+.2f}\n[{estimate.low:+.2f}, {estimate.high:+.2f}]"
                panel.text(j, i, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
        panel.set_xticks(range(len(effects.sliders)), effects.sliders)
        panel.set_yticks(range(len(effects.scores)), effects.scores)
        panel.set(xlabel="slider", ylabel="score")
        figure.colorbar(image, label=unit)
    return svg[0]


def frontier(methods: Mapping[str, Sequence[Point]]) -> str:
    """Share of harmful prompts refused against share of look-alikes answered, with OR-Bench's published models."""
    svg: list[str] = []
    published = or_bench_points()
    with _figure(1, 8, 5.6, svg) as (_, (panel,)):
        panel.scatter(
            [point.helpfulness for point in published],
            [point.safety for point in published],
            s=14,
            color="#999999",
            label=f"{len(published)} models published by OR-Bench (other prompts, other judge)",
        )
        for (name, points), colour, marker in zip(
            methods.items(), COLOURS * len(methods), MARKERS * len(methods), strict=False
        ):
            best = Frontier(tuple(points)).optimal
            xs, ys = [point.helpfulness for point in points], [point.safety for point in points]
            panel.scatter(xs, ys, color=colour, marker=marker, label=name)
            panel.plot([p.helpfulness for p in best], [p.safety for p in best], color=colour, linewidth=1)
            for point in points:
                if point.label == "bare":
                    panel.annotate(
                        "bare", (point.helpfulness, point.safety), xytext=(5, -12), textcoords="offset points"
                    )
        panel.set(
            xlabel="share of look-alikes answered",
            ylabel="share of harmful prompts refused",
            xlim=(-0.03, 1.03),
            ylim=(-0.03, 1.03),
        )
        panel.grid(alpha=0.3)
        panel.legend(loc="lower left", fontsize=8)
    return svg[0]


Curve = tuple[Sequence[float], NDArray[np.float64]]
"""Slider values, and (values, prompts) of a score."""


def dose_response(curves: Mapping[str, Mapping[str, Curve]]) -> str:
    """Mean of every score along every slider, the others at 0, with 95 % bands: `curves[slider][score]`."""
    svg: list[str] = []
    names = list(dict.fromkeys(score for scores in curves.values() for score in scores))
    columns = len(curves)
    with _figure(columns, 4.6 * columns, 2.4 * len(names), svg, rows=len(names)) as (_, panels):
        for row, name in enumerate(names):
            for column, (slider, scores) in enumerate(curves.items()):
                panel = panels[row * columns + column]
                values, found = scores[name]
                estimates = [mean_with_interval(prompts) for prompts in found]
                panel.plot(values, [estimate.value for estimate in estimates], marker="o")
                low, high = [estimate.low for estimate in estimates], [estimate.high for estimate in estimates]
                panel.fill_between(values, low, high, alpha=0.2, linewidth=0)
                panel.set(title=name, xlabel=f"slider {slider}")
                panel.grid(alpha=0.3)
    return svg[0]
