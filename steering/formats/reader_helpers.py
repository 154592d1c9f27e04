"""What the readers of other tools' files share: directions become a vector of ours, of a size that a model can have."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steering.errors import SteeringError
from steering.models.identity import ModelIdentity
from steering.vectors.file_format import naming_file
from steering.vectors.provenance import Origin
from steering.vectors.steering_vector import SteeringVector

MAX_LAYERS, MAX_WIDTH = 512, 1 << 16
"""Four times what the largest open models have: a file that asks for more is refused before it takes the memory."""
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64)
_LAYER = re.compile("[0-9]{1,9}")


def existing(path: str | Path) -> Path:
    """The path of a file that is there. Raises SteeringError when there is none."""
    path = Path(path)
    if not os.path.isfile(path):  # where a name is too long too, for which `Path.is_file` raises
        raise SteeringError(f"There is no file {str(path)!r}; check the path.")
    return path


def vector_at(
    directions: Mapping[int, Any], path: Path, model: ModelIdentity | None, expression: str | None = None
) -> SteeringVector:
    """A vector from a direction for each block's output, in any float dtype; shapes (d_model,) or (1, d_model).

    Raises SteeringError for directions of other shapes or different widths, for more than a model can have, and for
    those that don't fit the model.
    """
    if not directions or min(directions) < 0 or max(directions) >= MAX_LAYERS:
        found = [str(layer)[:20] for layer in sorted(directions)[-5:]]
        raise SteeringError(
            f"Expected layers from 0 to {MAX_LAYERS - 1} in {str(path)!r}, found {found}; check the file."
        )
    rows = {layer: _row(values, layer, path) for layer, values in sorted(directions.items())}
    widths = {len(row) for row in rows.values()}
    if len(widths) != 1:
        raise SteeringError(
            f"Expected directions all of one width in {str(path)!r}, found {sorted(widths)[:5]}; check the file."
        )
    origin = Origin(model=model, sources=(), expression=expression or path.stem) if model else None
    with naming_file(path):
        vector = SteeringVector(torch.stack(list(rows.values())), layers=tuple(rows), origin=origin)
    if model:
        vector.check(model)
    return vector


def _row(values: Any, layer: int, path: Path) -> Tensor:
    """One layer's direction, (d_model,) in float32, of whatever a file's reader found there."""
    try:
        found = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise SteeringError(
            f"Expected numbers at layer {layer} of {str(path)!r}, found {type(values).__name__!r}; check the file."
        ) from error
    shape = tuple(found.shape)
    if found.dtype not in _DTYPES or shape[:-1] not in ((), (1,)) or not 0 < found.numel() <= MAX_WIDTH:
        raise SteeringError(
            f"Expected one direction of 1 to {MAX_WIDTH} numbers at layer {layer} of {str(path)!r}, "
            f"found {found.dtype} of shape {shape}; check the file."
        )
    return found.detach().reshape(-1).float()


def layer_numbers(by_layer: Any, path: Path) -> dict[int, Any]:
    """A mapping with its keys as layer numbers. Raises SteeringError for other keys, and for anything else."""
    if not isinstance(by_layer, Mapping):
        raise SteeringError(f"Expected directions by layer in {str(path)!r}, found {type(by_layer).__name__!r}.")
    digits = {str(key): value for key, value in by_layer.items() if type(key) in (int, str)}
    numbers = {int(key): value for key, value in digits.items() if _LAYER.fullmatch(key)}
    if not numbers or len(numbers) != len(by_layer):
        others = [key[:20] for key in digits if not _LAYER.fullmatch(key)]
        raise SteeringError(
            f"Expected layer numbers, each once, in {str(path)!r}, found {others[:5]} among {len(by_layer)}; "
            "check that it is such a file."
        )
    return numbers
