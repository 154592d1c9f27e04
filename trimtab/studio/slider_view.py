"""What the page shows of an axis: its slider, its text, its dose, its figures by layer."""

from typing import Any

import torch

from probes import report_plots
from steering import Slider
from steering.display.slider_grid import slider_grid
from steering.vectors.provenance import Dose
from steering.vectors.summary import SliderSummary, dose_svg

PLOTS = {"auroc": "Held-out AUROC by layer", "push": "What slider value 1 adds at each layer"}


def axis_summary(name: str, slider: Slider) -> dict[str, Any]:
    """As JSON for the page."""
    summary = slider.summary()
    low, high, step = slider_grid(summary.range)
    return {
        "name": name,
        "title": summary.title,
        "description": summary.text,
        "low": low,
        "high": high,
        "step": step,
        "acts": _acts(summary),
        "dose": summary.dose and _dose(summary.dose),
        "calibrated": summary.calibration is not None,
        "plots": {kind: title for kind, title in PLOTS.items() if kind != "auroc" or summary.figures()},
    }


def _acts(summary: SliderSummary) -> str:
    """On which prompts, if not on all."""
    if summary.harm_edge:
        side, edge = summary.harm_edge
        return f"acts on prompts that read as harmful {'above' if side == '>' else 'below'} {edge:.2f}"
    return "acts on the prompts that its gate picks" if summary.is_gated else ""


def _dose(dose: Dose) -> dict[str, Any]:
    """The curve as drawn at value 0, and what the page needs to mark another on it."""
    return {"svg": dose_svg(dose), **dose.model_dump(include={"outcome", "prompts", "values", "effects"})}


def plot(name: str, slider: Slider, kind: str) -> str:
    """One of `PLOTS` as SVG; "" where the slider has no such figures."""
    push = slider.summary().pushes[0]
    if kind == "push":
        strength = push.strength * slider.strength(torch.ones(1)).item()
        norms = [strength * norm for norm in push.vector.norms]
        return report_plots.by_layer(name, push.vector.layers, push.layers, norms, "push norm (residual-stream units)")
    if push.vector.profile is None:
        return ""
    return report_plots.by_layer(
        name, push.vector.layers, push.layers, push.vector.profile.auroc, "held-out AUROC", 0.5
    )
