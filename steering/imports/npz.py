"""The plain `.npz` that `steering.export.npz` writes: `layers` and `directions`, what is added to blocks' outputs."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from steering.errors import SteeringError
from steering.identity import ModelIdentity
from steering.imports.reading import existing, vector_at
from steering.vector import SteeringVector


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
