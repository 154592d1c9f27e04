"""What the readers of other tools' files share: no pickle is loaded, and directions become a vector of ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steering.errors import SteeringError
from steering.models.identity import ModelIdentity
from steering.vectors.provenance import Origin
from steering.vectors.steering_vector import SteeringVector


def existing(path: str | Path) -> Path:
    """The path of a file that is there. Raises SteeringError when there is none."""
    path = Path(path)
    if not path.is_file():
        raise SteeringError(f"There is no file {str(path)!r}; check the path.")
    return path


def read_tensors(path: Path) -> Any:
    """What a `.pt` file holds, if it is tensors in plain containers: `torch.load` with `weights_only`.

    Raises SteeringError for a file that would run code when loaded, or isn't one of torch's.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged file makes its reader raise
        raise SteeringError(
            f"Expected tensors in {str(path)!r}, found a file that holds other objects, or none of torch's; other "
            "objects are never loaded: save the tensors alone, with torch.save({layer: tensor}, path)."
        ) from error


def read_tensor(path: Path) -> Tensor:
    """The one tensor of a `.pt` file. Raises SteeringError for files of something else."""
    tensor = read_tensors(path)
    if not isinstance(tensor, Tensor):
        raise SteeringError(f"Expected one tensor in {str(path)!r}, found {type(tensor).__name__!r}; check the file.")
    return tensor


def vector_at(
    directions: Mapping[int, Any], path: Path, model: ModelIdentity | None, expression: str | None = None
) -> SteeringVector:
    """A vector from a direction for each block's output, in any float dtype; shapes (d_model,) or (1, d_model).

    Raises SteeringError for directions of other shapes or different widths, and for those that don't fit the model.
    """
    rows: dict[int, Tensor] = {}
    for layer, values in sorted(directions.items()):
        try:
            row = torch.as_tensor(values).float()
        except (TypeError, ValueError, RuntimeError) as error:
            raise SteeringError(
                f"Expected numbers at layer {layer} of {str(path)!r}, found {type(values).__name__!r}; check the file."
            ) from error
        rows[layer] = row[0] if row.ndim == 2 and len(row) == 1 else row
    shapes = {tuple(row.shape) for row in rows.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise SteeringError(
            f"Expected one direction a layer, all of one width, in {str(path)!r}, found shapes {sorted(shapes)}."
        )
    origin = Origin(model=model, sources=(), expression=expression or path.stem) if model else None
    vector = SteeringVector(torch.stack(list(rows.values())), layers=tuple(rows), origin=origin)
    if model:
        vector.check(model)
    return vector


def layer_numbers(by_layer: Any, path: Path) -> dict[int, Any]:
    """A mapping with its keys as layer numbers. Raises SteeringError for other keys, and for anything else."""
    if not isinstance(by_layer, Mapping):
        raise SteeringError(f"Expected directions by layer in {str(path)!r}, found {type(by_layer).__name__!r}.")
    try:
        numbers = {int(name): value for name, value in by_layer.items()}
    except (TypeError, ValueError):
        numbers = {}
    if not numbers or min(numbers) < 0 or len(numbers) != len(by_layer):
        raise SteeringError(
            f"Expected layer numbers from 0 on in {str(path)!r}, found {[*by_layer][:5]}; check that it is such a file."
        )
    return numbers
