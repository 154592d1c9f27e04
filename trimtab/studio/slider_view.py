"""What the page shows of an axis: its slider, its text, its dose, its figures by layer."""

from typing import Any

import torch

from probes import report_plots
from steering import Slider
from steering.display.slider_grid import slider_grid
from steering.errors import SteeringError
from steering.vectors.provenance import Dose
from steering.vectors.summary import SliderSummary, dose_svg

LARGEST = 1e30
"""Figures beyond this overflow in pictures and in the browser's controls."""


def axis_view(name: str, slider: Slider) -> dict[str, Any]:
    """As JSON for the page, with the pictures in it. Raises SteeringError for figures that none can show."""
    summary = slider.summary()
    _check_figures(name, slider, summary)
    low, high, step = slider_grid(summary.range)
    return {
        "name": name,
        "title": summary.title,
        "low": low,
        "high": high,
        "step": step,
        "acts": _acts(summary),
        "dose": summary.dose and _dose(summary.dose),
        "calibrated": summary.calibration is not None,
        "plots": _plots(name, slider, summary),
    }


def _check_figures(name: str, slider: Slider, summary: SliderSummary) -> None:
    dose, profile = summary.dose, summary.pushes[0].vector.profile
    figures = [*summary.range, *_push_norms(slider, summary)]
    figures += [*dose.values, *dose.effects] if dose else []
    figures += profile.auroc if profile else []
    largest = max(figures, key=abs)
    if not abs(largest) <= LARGEST:
        raise SteeringError(
            f"Expected figures up to {LARGEST:g} to show of {name!r}, found {largest:g}; make the vector again."
        )


def _acts(summary: SliderSummary) -> str:
    """On which prompts, if not on all."""
    if summary.harm_edge:
        side, edge = summary.harm_edge
        return f"acts on prompts that read as harmful {'above' if side == '>' else 'below'} {edge:.2f}"
    return "acts on the prompts that its gate picks" if summary.is_gated else ""


def _dose(dose: Dose) -> dict[str, Any]:
    """The curve as drawn at value 0, and what the page needs to mark another on it."""
    return {"svg": dose_svg(dose), **dose.model_dump(include={"outcome", "prompts", "values", "effects"})}


def _plots(name: str, slider: Slider, summary: SliderSummary) -> dict[str, dict[str, str]]:
    """Pictures by layer as SVG, with their titles; no AUROC where it wasn't measured."""
    push = summary.pushes[0]

    def plot(values: tuple[float, ...], unit: str, reference: float | None = None) -> str:
        return report_plots.by_layer(name, push.vector.layers, push.layers, values, unit, reference)

    norms = plot(_push_norms(slider, summary), "push norm (residual-stream units)")
    found = {"push": {"title": "What slider value 1 adds at each layer", "svg": norms}}
    if push.vector.profile is None:
        return found
    auroc = plot(push.vector.profile.auroc, "held-out AUROC", 0.5)
    return {"auroc": {"title": "Held-out AUROC by layer", "svg": auroc}, **found}


def _push_norms(slider: Slider, summary: SliderSummary) -> tuple[float, ...]:
    """How long the first push is at slider value 1, by layer."""
    push = summary.pushes[0]
    strength = push.strength * slider.strength(torch.ones(1)).item()
    return tuple(strength * norm for norm in push.vector.norms)
