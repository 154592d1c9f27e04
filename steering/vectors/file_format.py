"""The file format of a SteeringVector: safetensors, with JSON in its metadata.

Float32 tensors: `directions`, (layers, d_model); where the vector has them, `reference` of the same shape and `gate`,
(d_model,) or (tokens, d_model); the same of its companions under `companions.0.` and so on. One metadata entry,
`trimtab.steering_vector`: a JSON object with `format_version` and the vector's other fields. The same vector always
gives the same bytes. Reading runs no code from the file and trusts none of it.
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from steering.data.chats import first_problem
from steering.errors import SteeringError, quoted
from steering.files import atomic_write
from steering.interventions.gates import Gate
from steering.vectors.provenance import Calibration, Origin, Profile
from steering.vectors.steering_vector import SteeringVector

METADATA_KEY = "trimtab.steering_vector"
FORMAT_VERSION = "1"


class _Gate(BaseModel):
    """The JSON part of a gate."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    layer: int
    bias: float
    curve: str
    cosine: bool
    low: float
    high: float
    tokens: tuple[int, ...] = (1,)


class _Part(BaseModel):
    """The JSON part of a vector, without its companions."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    layers: tuple[int, ...]
    recommended_layers: tuple[int, ...]
    unit: float
    range: tuple[float, float]
    origin: Origin | None
    profile: Profile | None
    calibration: Calibration | None = None
    scope: str = "all"
    intervention: str = "add"
    site: str = "block"
    has_reference: bool = False
    gate: _Gate | None = None

    def tensor_names(self) -> list[str]:
        """Names of the tensors that belong to it."""
        return ["directions", *(["reference"] * self.has_reference), *(["gate"] if self.gate else [])]


class _Metadata(_Part):
    """The JSON part of a file."""

    format_version: str
    companions: tuple[_Part, ...] = ()

    def prefixed_parts(self) -> list[tuple[str, _Part]]:
        """Every part with what its tensors' names begin with."""
        return [("", self), *((f"companions.{index}.", part) for index, part in enumerate(self.companions))]


class _Version(BaseModel):
    """What can be told of a file of any version."""

    model_config = ConfigDict(extra="ignore")

    format_version: str


def write_vector(vector: SteeringVector, path: str | Path) -> None:
    """Write the file, whole or not at all."""
    metadata = _Metadata(
        format_version=FORMAT_VERSION,
        companions=tuple(_Part(**_fields(companion)) for companion in vector.companions),
        **_fields(vector),
    )
    tensors = {
        prefix + name: tensor
        for (prefix, _), part in zip(metadata.prefixed_parts(), vector.parts, strict=True)
        for name, tensor in _tensors(part).items()
    }
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata={METADATA_KEY: metadata.model_dump_json()})


def _fields(vector: SteeringVector) -> dict[str, Any]:
    others = ("has_reference", "gate")
    same = [name for name in _Part.model_fields if name not in others]
    gate = vector.gate and _Gate(**{name: getattr(vector.gate, name) for name in _Gate.model_fields})
    return {name: getattr(vector, name) for name in same} | {
        "has_reference": vector.reference is not None,
        "gate": gate,
    }


def _tensors(vector: SteeringVector) -> dict[str, torch.Tensor]:
    gate = vector.gate.direction if vector.gate else None
    named = {"directions": vector.directions, "reference": vector.reference, "gate": gate}
    return {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in named.items()
        if tensor is not None
    }


def read_vector(path: str | Path) -> SteeringVector:
    """Read the file. Raises SteeringError that says what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise SteeringError(f"There is no vector file {str(path)!r}; make one with: trimtab extract")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise SteeringError(
            f"{str(path)!r} is not a safetensors file that can be read ({error}); get a fresh copy."
        ) from error
    metadata = _parse(header, path)
    expected = [prefix + name for prefix, part in metadata.prefixed_parts() for name in part.tensor_names()]
    if sorted(tensors) != sorted(expected):
        raise SteeringError(
            f"{str(path)!r} should hold the tensors {quoted(expected)}, found {quoted(tensors)}; get a fresh copy."
        )
    for name, tensor in tensors.items():
        dimensions = (1, 2) if name.endswith("gate") else (2,)
        if tensor.dtype != torch.float32 or tensor.ndim not in dimensions:
            raise SteeringError(
                f"{str(path)!r} should hold float32 {name} of {' or '.join(map(str, dimensions))} dimensions, found "
                f"{tensor.dtype} of shape {tuple(tensor.shape)}; get a fresh copy."
            )
    try:
        companions = [_assemble(tensors, prefix, part, path) for prefix, part in metadata.prefixed_parts()[1:]]
        return _assemble(tensors, "", metadata, path, tuple(companions))
    except SteeringError as error:
        raise SteeringError(f"{str(path)!r} is damaged: {error}") from error


def _parse(header: dict[str, str], path: Path) -> _Metadata:
    if METADATA_KEY not in header:
        raise SteeringError(
            f"{str(path)!r} is a safetensors file but not a Trimtab vector: its metadata lack {METADATA_KEY!r}, have "
            f"{quoted(header)}; make one with: trimtab extract"
        )
    try:
        version = _Version.model_validate_json(header[METADATA_KEY]).format_version
        if version != FORMAT_VERSION:
            raise SteeringError(
                f"{str(path)!r} has format version {version!r}, this Trimtab reads {FORMAT_VERSION!r}; "
                "upgrade Trimtab or extract the vector anew."
            )
        return _Metadata.model_validate_json(header[METADATA_KEY])
    except ValidationError as error:
        raise SteeringError(
            f"{str(path)!r} has damaged metadata ({first_problem(error)}); get a fresh copy."
        ) from error


def _assemble(
    tensors: dict[str, torch.Tensor],
    prefix: str,
    part: _Part,
    path: Path,
    companions: tuple[SteeringVector, ...] = (),
) -> SteeringVector:
    """The parts as a vector, once they fit each other."""
    directions = tensors[f"{prefix}directions"]
    rows = {"layers": len(part.layers)}
    if part.profile:
        rows |= {name: len(values) for name, values in part.profile.model_dump().items()}
    wrong = [name for name, count in rows.items() if count != len(directions)]
    if wrong:
        raise SteeringError(f"{wrong[0]} has {rows[wrong[0]]} entries for {len(directions)} directions.")
    if not part.recommended_layers:
        raise SteeringError("it has no recommended layers.")
    model = part.origin.model if part.origin else None
    if model and (model.d_model != directions.shape[1] or model.n_layers <= max(part.layers)):
        raise SteeringError(
            f"its directions have width {directions.shape[1]} for layers up to {max(part.layers)}, "
            f"its metadata speak of width {model.d_model} and {model.n_layers} layers."
        )
    gate = Gate(direction=tensors[f"{prefix}gate"], **part.gate.model_dump()) if part.gate else None
    return SteeringVector(
        directions=directions,
        layers=part.layers,
        recommended_layers=part.recommended_layers,
        unit=part.unit,
        range=part.range,
        origin=part.origin,
        profile=part.profile,
        calibration=part.calibration,
        scope=part.scope,
        intervention=part.intervention,
        site=part.site,
        reference=tensors[f"{prefix}reference"] if part.has_reference else None,
        gate=gate,
        companions=companions,
    )
