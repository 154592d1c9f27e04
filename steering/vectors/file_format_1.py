"""Files of format 1, in which a vector was also what its slider did: read as format 2, bit for bit the same.

Tensors `directions`, `reference` and `gate`; the same of the vector's companions under `companions.0.` and so on. One
metadata entry, `trimtab.steering_vector`.
"""

from typing import Any

from pydantic import BaseModel
from torch import Tensor

METADATA_KEY = "trimtab.steering_vector"
FORMAT_VERSION = "1"

_REFERENCES = {
    "add_mapped": "reader",
    "set_projection": "center",
    "lower_projection": "ceiling",
    "rotate": "second_direction",
    "rotate_adaptive": "second_direction",
}
"""What the second tensor of each intervention is called now."""
_HOOK_POINTS = {"block": "resid_post", "attention": "attn_out"}


class _Calibration(BaseModel, extra="allow"):
    spans: list[dict[str, Any]]


class _Part(BaseModel, extra="forbid"):
    """A vector without its companions; what is in it is checked as format 2."""

    layers: list[int]
    recommended_layers: list[int]
    unit: float
    range: tuple[float, float]
    origin: Any
    profile: Any
    calibration: _Calibration | None = None
    scope: str = "all"
    intervention: str = "add"
    site: str = "block"
    has_reference: bool = False
    gate: dict[str, Any] | None = None


class _File(_Part):
    format_version: str
    companions: list[_Part] = []


def converted(metadata: str, tensors: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The content of the metadata entry as that of format 2, and the tensors under their new names.

    Tensors that format 1 doesn't know keep their names, for the reader to refuse. Raises pydantic's ValidationError.
    """
    file = _File.model_validate_json(metadata)
    parts = [file, *file.companions]
    vectors, pushes, renamed = [], [], dict(tensors)
    for number, part in enumerate(parts):
        prefix = f"companions.{number - 1}." if number else ""
        name = _REFERENCES.get(part.intervention, "reference")
        vector, push = f"vectors.{number}", f"pushes.{number}"
        new_names = {"directions": f"{vector}.directions", "reference": f"{push}.{name}", "gate": f"{push}.gate"}
        for old, new in new_names.items():
            if prefix + old in renamed:
                renamed[new] = renamed.pop(prefix + old)
        if part.gate and (gate := renamed.get(f"{push}.gate")) is not None and gate.ndim == 1:
            renamed[f"{push}.gate"] = gate.unsqueeze(0)
        vectors.append(part.model_dump(include={"layers", "recommended_layers", "origin", "profile"}))
        pushes.append(
            {
                "vector": number,
                "layers": part.recommended_layers,
                "strength": part.unit,
                "intervention": part.intervention,
                "tensors": [name] if part.has_reference else [],
                "hook_point": _HOOK_POINTS.get(part.site, part.site),
                "tokens": part.scope,
                "gate": part.gate and {"tokens": [1], **part.gate},
            }
        )
    plain = _Part(**vectors[0], unit=1.0, range=(-1.0, 1.0))
    if not file.companions and file.model_dump(exclude={"format_version", "companions"}) == plain.model_dump():
        return {"vectors": vectors}, renamed
    calibration = file.calibration and _renamed(file.calibration)
    return {"vectors": vectors, "slider": {"pushes": pushes, "range": file.range, "calibration": calibration}}, renamed


def _renamed(calibration: _Calibration) -> dict[str, Any]:
    """A span's `unit` is its `strength` now."""
    spans = [{"strength" if key == "unit" else key: span[key] for key in span} for span in calibration.spans]
    return calibration.model_dump() | {"spans": spans}
