"""What the page shows of an axis: its slider, its text, its figures by layer, where it is read."""

import math
from typing import Any

from probes import plots
from probes.vector_record import describe_vector
from steering import SteeringVector
from steering.explore.token_readings import Readout

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
        "reading_layer": reading_layer(vector),
        "plots": {kind: title for kind, title in PLOTS.items() if kind != "auroc" or vector.profile},
    }


def slider_grid(limits: tuple[float, float]) -> tuple[float, float, float]:
    """Lowest value, highest and step of a slider: a round step, of which all values are multiples; 0 is among them."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    step = 10 ** math.floor(math.log10(high - low)) / 20 if high > low else 0.05
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return round(first * step, 12), round(last * step, 12), round(step, 12)


def reading_layer(vector: SteeringVector) -> int:
    """Of the layers that the slider moves, the one that tells held-out pairs apart best; unknown, the last."""
    if vector.profile is None:
        return max(vector.recommended_layers)
    return max(vector.recommended_layers, key=vector.auroc_at)


def readout(vector: SteeringVector) -> Readout:
    """The projection on the vector's direction, at norm 1, at its reading layer: in units of the residual stream."""
    layer = reading_layer(vector)
    direction = vector[layer]
    return Readout(layer, direction / direction.norm().clamp_min(1e-12))


def plot(name: str, vector: SteeringVector, kind: str) -> str:
    """One of `PLOTS` as SVG; "" where the vector has no such figures."""
    record = describe_vector(vector)
    return plots.auroc_by_layer(name, record) if kind == "auroc" else plots.push_by_layer(name, record, vector.unit)
