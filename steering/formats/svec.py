"""`.svec`, a JSON file of directions by layer that two tools of IBM read, each in its own way.

AISteer360 adds `directions["12"]` to the **output** of block 12. Activation-steering (CAST) adds it to the **input** of
block 12, which is the output of block 11, after rounding it to float16. One file can't serve both. Both tools read
block L's output for their layer L; a file that is read here becomes a vector that steers as it did there.

Sources: `aisteer360/algorithms/state_control/_common/steering_vector.py` and `caa/control.py`;
`activation_steering/steering_vector.py`, `leash_layer.py` and `malleable_model.py`.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steering.atomic_write import atomic_write
from steering.errors import SteeringError
from steering.formats.fixed_sliders import Exportable, as_fixed, file_additions
from steering.formats.reader_helpers import layer_numbers, vector_at
from steering.json_reading import read_json
from steering.models.identity import ModelIdentity
from steering.vectors.steering_vector import SteeringVector


def to_aisteer360(exportable: Exportable, path: str | Path) -> None:
    """Write the file for AISteer360's `SteeringVector.load`, whole or not at all.

    Its control `CAA` moves the one layer that it is told, at a `multiplier` of 1. Raises SteeringError for
    anything but additions at blocks, and where nobody knows the model type.
    """
    _write(path, exportable, "AISteer360", file_additions(exportable, "AISteer360"))


def to_activation_steering(exportable: Exportable, path: str | Path) -> None:
    """Write the file for activation-steering's `SteeringVector.load`: what moves block L's output is its layer L + 1.

    Pass the file's layers as `behavior_layer_ids`, at a `behavior_vector_strength` of 1. Raises SteeringError for
    anything but additions at blocks, for the last block, and for numbers that float16 can't hold.
    """
    consumer = "activation-steering"
    additions = file_additions(exportable, consumer)
    model = as_fixed(exportable).model
    if model and model.n_layers - 1 in additions:
        raise SteeringError(
            f"Activation-steering moves the inputs of blocks, so that the output of the last, {model.n_layers - 1}, "
            "which this vector moves, can't be reached; select other layers."
        )
    largest = max(float(push.abs().max()) for push in additions.values())
    if largest > torch.finfo(torch.float16).max:
        raise SteeringError(
            f"Activation-steering holds directions in float16, up to 65504, found {largest:g}; lower the slider."
        )
    _write(path, exportable, consumer, {layer + 1: push for layer, push in additions.items()})


def _write(path: str | Path, exportable: Exportable, consumer: str, directions: dict[int, Tensor]) -> None:
    content = {
        "model_type": as_fixed(exportable).named_architecture(consumer),
        "directions": {str(layer): push.tolist() for layer, push in directions.items()},
        # Both readers want a number; activation-steering writes 1 itself where nothing was explained.
        "explained_variances": {str(layer): 1.0 for layer in directions},
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content))


def from_aisteer360(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """Layer L of the file is layer L here: read at block L's output and added there.

    Raises SteeringError for a file that isn't `.svec`, and for one of several directions a layer.
    """
    path = Path(path)
    return vector_at(_directions(path), path, model)


def from_activation_steering(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """Layer L of the file is layer L - 1 here: read at block L's output, but added at its input.

    Warns of a direction for layer 0, which would act on the embeddings, where nothing does here: it is left out.
    Raises SteeringError for a file that isn't `.svec`.
    """
    path = Path(path)
    directions = _directions(path)
    if directions.pop(0, None) is not None:
        found = f"left out layer 0 of {path.name!r}: it acts on the embeddings, before the first block"
        warnings.warn(found, stacklevel=2)
    if not directions:
        raise SteeringError(f"Expected a layer above 0 in {str(path)!r}, found none; nothing of it can act on a block.")
    return vector_at({layer - 1: values for layer, values in directions.items()}, path, model)


def _directions(path: Path) -> dict[int, Any]:
    content = read_json(path)
    return layer_numbers(content.get("directions") if isinstance(content, dict) else content, path)
