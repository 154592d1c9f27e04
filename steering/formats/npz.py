"""NumPy: a plain `.npz`, for any tool of your own.

`layers`, (layers,) int64, block indices; `directions`, (layers, d_model) float32, what is added to each block's output;
`model_type`, text, empty where it isn't known. Read it with `numpy.load(path, allow_pickle=False)`.
"""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from steering.atomic_write import atomic_write
from steering.errors import SteeringError
from steering.formats.fixed_sliders import Exportable, as_fixed, file_additions
from steering.formats.reader_helpers import existing, vector_at
from steering.models.identity import ModelIdentity
from steering.vectors.steering_vector import SteeringVector


def to_npz(exportable: Exportable, path: str | Path) -> None:
    """Write the file, whole or not at all. Raises SteeringError for anything but additions at blocks."""
    additions = file_additions(exportable, "a .npz file")
    layers, directions = np.array(list(additions), dtype=np.int64), torch.stack(list(additions.values())).numpy()
    model_type = np.array(as_fixed(exportable).architecture or "")
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, layers=layers, directions=directions, model_type=model_type)


def from_npz(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """The vector in the file. Raises SteeringError for a file without these arrays, or with pickled ones."""
    path = existing(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            layers, directions = arrays["layers"], arrays["directions"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile) as error:
        raise SteeringError(
            f"Expected an .npz file with arrays 'layers' and 'directions' at {str(path)!r}, found another ({error}); "
            "check the path."
        ) from error
    if layers.ndim != 1 or directions.ndim != 2 or len(layers) != len(directions) or layers.dtype.kind not in "iu":
        raise SteeringError(
            f"Expected a layer number for each row of 'directions' in {str(path)!r}, found shapes {layers.shape} and "
            f"{directions.shape}; check the file."
        )
    return vector_at(dict(zip(layers.tolist(), directions, strict=True)), path, model)
