"""The file of a vector or a slider, format 2: safetensors, with JSON in its metadata.

Float32 tensors: `vectors.N.directions`, (layers, d_model), for every vector; for every push that has them
`pushes.N.gate`, (tokens, d_model), and the tensors of its intervention under their names, such as `pushes.N.reader`,
(layers, d_model). One metadata entry, `trimtab.slider`: `FileRecord` as JSON. The same slider always gives the same
bytes. Reading runs no code from the file and trusts none of it. Files of format 1 are read too: see `file_format_1`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from steering.atomic_write import atomic_write
from steering.data.chats import first_problem
from steering.errors import SteeringError, quoted
from steering.vectors import file_format_1
from steering.vectors.provenance import Calibration, Dose, Origin, Profile, Recognition, Trial

METADATA_KEY = "trimtab.slider"
FORMAT_VERSION = "2"


class VectorRecord(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """The JSON part of a vector."""

    layers: tuple[int, ...]
    recommended_layers: tuple[int, ...]
    origin: Origin | None
    profile: Profile | None


class GateRecord(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """The JSON part of a gate."""

    layer: int
    bias: float
    curve: str
    cosine: bool
    low: float
    high: float
    tokens: tuple[int, ...]
    reads: str = "score"
    threshold: float = 0.0


class PushRecord(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """The JSON part of a push."""

    vector: int
    """Number of the vector in the file."""
    layers: tuple[int, ...]
    strength: float
    intervention: str
    tensors: tuple[str, ...]
    """Names of the intervention's tensors."""
    hook_point: str
    tokens: str
    gate: GateRecord | None


class SliderRecord(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """The JSON part of a slider."""

    pushes: tuple[PushRecord, ...]
    range: tuple[float, float]
    calibration: Calibration | None
    dose: Dose | None = None
    trials: tuple[Trial, ...] = ()
    recognition: tuple[Recognition, ...] = ()


class FileRecord(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What the metadata entry holds: vectors, and what a slider does with them unless it is the plain one."""

    format_version: str = FORMAT_VERSION
    vectors: tuple[VectorRecord, ...]
    slider: SliderRecord | None = None

    def tensor_names(self) -> Iterator[str]:
        """The tensors that the file has to hold."""
        for number in range(len(self.vectors)):
            yield f"vectors.{number}.directions"
        for number, push in enumerate(self.slider.pushes if self.slider else ()):
            yield from (f"pushes.{number}.{name}" for name in push.tensors)
            if push.gate:
                yield f"pushes.{number}.gate"


class _Version(BaseModel, extra="ignore"):
    """What can be told of a file of any version."""

    format_version: str


def write_file(path: str | Path, record: FileRecord, tensors: Mapping[str, Tensor]) -> None:
    """Write the file, whole or not at all."""
    copies = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        save_file(copies, temporary, metadata={METADATA_KEY: record.model_dump_json()})


def read_file(path: str | Path) -> tuple[FileRecord, dict[str, Tensor]]:
    """What a file of either format holds. Raises SteeringError that says what is wrong with it."""
    path = Path(path)
    if not os.path.isfile(path):  # where a name is too long too, for which `Path.is_file` raises
        raise SteeringError(f"There is no vector file {str(path)!r}; make one with: trimtab extract")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        problem = f"is not a safetensors file that can be read ({error})"
        raise SteeringError(f"{str(path)!r} {problem}; get a fresh copy.") from error
    try:
        record, tensors = _parsed(header, tensors, path)
    except ValidationError as error:
        problem = f"has damaged metadata ({first_problem(error)})"
        raise SteeringError(f"{str(path)!r} {problem}; get a fresh copy.") from error
    for problem in _problems(record, tensors):
        raise SteeringError(f"{str(path)!r} is damaged: {problem}; get a fresh copy.")
    return record, tensors


@contextmanager
def naming_file(path: str | Path) -> Iterator[None]:
    """Errors about what a file holds say which file it is."""
    try:
        yield
    except SteeringError as error:
        raise SteeringError(f"{str(path)!r} is damaged: {error}") from error


def _parsed(header: dict[str, str], tensors: dict[str, Tensor], path: Path) -> tuple[FileRecord, dict[str, Tensor]]:
    """The record of a file of either format, and its tensors under the names of format 2."""
    key = next((key for key in (METADATA_KEY, file_format_1.METADATA_KEY) if key in header), None)
    if key is None:
        found = f"its metadata lack {METADATA_KEY!r}, have {quoted(header)}"
        raise SteeringError(f"{str(path)!r} is not a Trimtab vector: {found}; make one with: trimtab extract")
    version = _Version.model_validate_json(header[key]).format_version
    if version != (FORMAT_VERSION if key == METADATA_KEY else file_format_1.FORMAT_VERSION):
        known = f"{FORMAT_VERSION!r} and {file_format_1.FORMAT_VERSION!r}"
        raise SteeringError(f"{str(path)!r} has format version {version!r}, this Trimtab reads {known}; upgrade it.")
    if key == METADATA_KEY:
        return FileRecord.model_validate_json(header[key]), tensors
    content, renamed = file_format_1.converted(header[key], tensors)
    return FileRecord.model_validate(content), renamed


def _problems(record: FileRecord, tensors: dict[str, Tensor]) -> Iterator[str]:
    """How the parts of a file don't fit each other; each check relies on those before."""
    expected = list(record.tensor_names())
    if sorted(tensors) != sorted(expected):
        yield f"it should hold the tensors {quoted(expected)}, found {quoted(tensors)}"
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or tensor.ndim != 2:
            found = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            yield f"it should hold float32 {name} of 2 dimensions, found {found}"
    for number, vector in enumerate(record.vectors):
        count, width = tensors[f"vectors.{number}.directions"].shape
        profile = vector.profile.model_dump() if vector.profile else {}
        for name, values in {"layers": vector.layers, **profile}.items():
            if len(values) != count:
                yield f"{name} has {len(values)} entries for {count} directions"
        if not vector.layers or not vector.recommended_layers:
            yield "it has no layers, or no recommended layers"
        model, last = vector.origin and vector.origin.model, max(vector.layers)
        if model and (model.d_model != width or model.n_layers <= last):
            yield (
                f"its directions have width {width} for layers up to {last}, "
                f"its metadata speak of width {model.d_model} and {model.n_layers} layers"
            )
    if record.slider is None and len(record.vectors) != 1:
        yield f"expected one vector in a file without a slider, found {len(record.vectors)}"
    if record.slider and not all(0 <= push.vector < len(record.vectors) for push in record.slider.pushes):
        yield "a push names a vector that isn't there"
