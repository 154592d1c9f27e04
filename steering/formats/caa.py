"""Vectors of the CAA repository (arXiv 2312.06681): `vec_layer_{layer}_{model}.pt`, one tensor a file.

Read at the output of block `layer` and added there: the same layer here. CAA adds after the prompt only, at a
multiplier: `sliders.attach(lm, tokens="generated")`.
"""

import re
from pathlib import Path

from steering.errors import SteeringError
from steering.formats.reader_helpers import existing, vector_at
from steering.formats.torch_file import read_tensor
from steering.models.identity import ModelIdentity
from steering.vectors.steering_vector import SteeringVector

_NAME = re.compile(r"vec_layer_(\d+)_(.+)\.pt")


def from_caa(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """The vector in one file, or in all such files of a folder, which are of one model.

    Raises SteeringError for other names, and for files that hold something else than one tensor.
    """
    path = Path(path)
    files = sorted(path.glob("vec_layer_*.pt")) if path.is_dir() else [existing(path)]
    names = [match for file in files if (match := _NAME.fullmatch(file.name))]
    if not names or len(names) < len(files) or len({name[2] for name in names}) > 1:
        raise SteeringError(
            f"Expected files vec_layer_LAYER_MODEL.pt of one model at {str(path)!r}, found "
            f"{[file.name for file in files][:3] or 'none'}; the layer is read from the name."
        )
    directions = {int(name[1]): read_tensor(file) for file, name in zip(files, names, strict=True)}
    return vector_at(directions, path, model)
