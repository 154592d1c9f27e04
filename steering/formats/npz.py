"""NumPy: a plain `.npz`, for any tool of your own.

`layers`, (layers,) int64, block indices; `directions`, (layers, d_model) float32, what is added to each block's output;
`model_type`, text, empty where it isn't known. Read it with `numpy.load(path, allow_pickle=False)`.
"""

import re
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from steering.atomic_write import atomic_write
from steering.errors import SteeringError, first_line
from steering.formats.fixed_sliders import Exportable, as_fixed, file_additions
from steering.formats.reader_helpers import MAX_LAYERS, MAX_WIDTH, existing, vector_at
from steering.models.identity import ModelIdentity
from steering.vectors.steering_vector import SteeringVector

_MAX_BYTES = MAX_LAYERS * MAX_WIDTH * 4
_HEADER = re.compile(
    rb"\x93NUMPY(?:\x01\x00..|[\x02\x03]\x00....)"
    rb"\{'descr': '(?P<dtype>[<>|][fiu][1248])', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>[0-9]{1,9}, ?(?:[0-9]{1,9})?)\), \} *\n",
    re.DOTALL,
)
"""What NumPy writes before the numbers of one or two dimensions: numpy.lib.format."""


def to_npz(exportable: Exportable, path: str | Path) -> None:
    """Write the file, whole or not at all. Raises SteeringError for anything but additions at blocks."""
    additions = file_additions(exportable, "a .npz file")
    layers, directions = np.array(list(additions), dtype=np.int64), torch.stack(list(additions.values())).numpy()
    model_type = np.array(as_fixed(exportable).architecture or "")
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, layers=layers, directions=directions, model_type=model_type)


def from_npz(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """The vector in the file. Raises SteeringError for a file without these arrays, or with others than of numbers."""
    path = existing(path)
    try:
        with ZipFile(path) as archive:
            layers, directions = (_array(archive, f"{name}.npy") for name in ("layers", "directions"))
    except Exception as error:  # zipfile raises whatever a damaged archive makes it raise
        raise SteeringError(
            f"Expected an .npz file with arrays 'layers' and 'directions' at {str(path)!r}, found another "
            f"({first_line(error)[:100]}); check the path."
        ) from error
    if layers.ndim != 1 or directions.ndim != 2 or len(layers) != len(directions) or layers.dtype.kind not in "iu":
        raise SteeringError(
            f"Expected a layer number for each row of 'directions' in {str(path)!r}, found shapes {layers.shape} and "
            f"{directions.shape}; check the file."
        )
    return vector_at(dict(zip(layers.tolist(), directions, strict=True)), path, model)


def _array(archive: ZipFile, name: str) -> NDArray[Any]:
    """An array of the archive, in its machine's byte order. Raises ValueError for one that no vector is as large as."""
    member = archive.getinfo(name)
    if member.file_size > _MAX_BYTES or member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ValueError(f"{name} of {member.file_size} bytes, packed by method {member.compress_type}")
    content = archive.read(member)
    header = _HEADER.match(content)
    if header is None:
        raise ValueError(f"{name} that isn't a plain array of numbers")
    shape = tuple(int(size) for size in header["shape"].decode().split(",") if size.strip())
    flat = np.frombuffer(content, header["dtype"].decode(), offset=header.end())
    native = flat.astype(flat.dtype.newbyteorder("="))
    return native.reshape(shape, order="F" if header["fortran"] == b"True" else "C")
