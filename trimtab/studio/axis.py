"""What the page shows of an axis: its slider, its text, its figures by layer."""

from typing import Any

from probes import plots
from probes.vector_record import describe_vector
from steering import SteeringVector
from steering.display.slider_grid import slider_grid

PLOTS = {"auroc": "Held-out AUROC by layer", "push": "What slider value 1 adds at each layer"}


def axis_summary(name: str, vector: SteeringVector) -> dict[str, Any]:
    """As JSON for the page."""
    low, high, step = slider_grid(vector.range)
    return {
        "name": name,
        "title": vector.title,
        "description": vector.describe(),
        "low": low,
        "high": high,
        "step": step,
        "gated": any(part.gate is not None for part in vector.parts),
        "calibrated": vector.calibration is not None,
        "plots": {kind: title for kind, title in PLOTS.items() if kind != "auroc" or vector.profile},
    }


def plot(name: str, vector: SteeringVector, kind: str) -> str:
    """One of `PLOTS` as SVG; "" where the vector has no such figures."""
    record = describe_vector(vector)
    return plots.auroc_by_layer(name, record) if kind == "auroc" else plots.push_by_layer(name, record, vector.unit)
