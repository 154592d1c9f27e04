"""The file format of a SteeringVector: safetensors, with JSON in its metadata.

One tensor, `directions`, float32, (layers, d_model). One metadata entry, `trimtab.steering_vector`: a JSON object with
`format_version` and the vector's other fields. The same vector always gives the same bytes. Reading runs no code from
the file and trusts none of it.
"""

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from steering.chats import first_problem
from steering.errors import SteeringError, quoted
from steering.files import replacing
from steering.vector import Origin, Profile, SteeringVector

METADATA_KEY = "trimtab.steering_vector"
FORMAT_VERSION = "1"


class _Metadata(BaseModel):
    """The JSON part of a vector."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: str
    layers: tuple[int, ...]
    recommended_layers: tuple[int, ...]
    unit: float
    range: tuple[float, float]
    origin: Origin | None
    profile: Profile | None


class _Version(BaseModel):
    """What can be told of a file of any version."""

    model_config = ConfigDict(extra="ignore")

    format_version: str


def write_vector(vector: SteeringVector, path: str | Path) -> None:
    """Write the file, whole or not at all."""
    metadata = _Metadata(
        format_version=FORMAT_VERSION,
        layers=vector.layers,
        recommended_layers=vector.recommended_layers,
        unit=vector.unit,
        range=vector.range,
        origin=vector.origin,
        profile=vector.profile,
    )
    with replacing(path) as temporary:
        tensors = {"directions": vector.directions.contiguous()}
        save_file(tensors, temporary, metadata={METADATA_KEY: metadata.model_dump_json()})


def read_vector(path: str | Path) -> SteeringVector:
    """Read the file. Raises SteeringError that says what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise SteeringError(f"There is no vector file {str(path)!r}; make one with: trimtab extract")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            names = list(file.keys())
            directions = file.get_tensor("directions") if names == ["directions"] else None
    except (SafetensorError, OSError, ValueError) as error:
        raise SteeringError(
            f"{str(path)!r} is not a safetensors file that can be read ({error}); get a fresh copy."
        ) from error
    metadata = _parse(header, path)
    if directions is None:
        raise SteeringError(
            f"{str(path)!r} should hold the one tensor 'directions', found {quoted(names)}; get a fresh copy."
        )
    if directions.dtype != torch.float32 or directions.ndim != 2:
        raise SteeringError(
            f"{str(path)!r} should hold float32 directions of two dimensions, found {directions.dtype} of shape "
            f"{tuple(directions.shape)}; get a fresh copy."
        )
    return _assemble(directions, metadata, path)


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


def _assemble(directions: torch.Tensor, metadata: _Metadata, path: Path) -> SteeringVector:
    """The parts as a vector, once they fit each other."""
    rows = {"layers": len(metadata.layers)}
    if metadata.profile:
        rows |= {name: len(values) for name, values in metadata.profile.model_dump().items()}
    wrong = [name for name, count in rows.items() if count != len(directions)]
    if wrong or not metadata.recommended_layers:
        what = (
            f"{wrong[0]} has {rows[wrong[0]]} entries for {len(directions)} directions"
            if wrong
            else "no recommended layers"
        )
        raise SteeringError(f"{str(path)!r} has damaged metadata ({what}); get a fresh copy.")
    model = metadata.origin.model if metadata.origin else None
    if model and (model.d_model != directions.shape[1] or model.n_layers <= max(metadata.layers)):
        raise SteeringError(
            f"{str(path)!r} holds directions of width {directions.shape[1]} for layers up to {max(metadata.layers)}, "
            f"its metadata speak of width {model.d_model} and {model.n_layers} layers; get a fresh copy."
        )
    try:
        return SteeringVector(
            directions=directions,
            layers=metadata.layers,
            recommended_layers=metadata.recommended_layers,
            unit=metadata.unit,
            range=metadata.range,
            origin=metadata.origin,
            profile=metadata.profile,
        )
    except SteeringError as error:
        raise SteeringError(f"{str(path)!r} is damaged: {error}") from error
