"""`.svec` files of IBM's two tools: both read block L's output for their layer L; what they move differs.

AISteer360 adds at the same place. Activation-steering (CAST) adds its layer L to the **input** of block L, which is
layer L - 1 here; that is what its importer converts to, so that the vector steers as it did there.
"""

import warnings
from pathlib import Path
from typing import Any

from steering.errors import SteeringError
from steering.identity import ModelIdentity
from steering.imports.reading import existing, layer_numbers, read_json, vector_at
from steering.vector import SteeringVector


def from_aisteer360(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """Layer L of the file is layer L here: read at block L's output and added there.

    Raises SteeringError for a file that isn't `.svec`, and for one of several directions a layer.
    """
    path = existing(path)
    return vector_at(_directions(path), path, model)


def from_activation_steering(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """Layer L of the file is layer L - 1 here: read at block L's output, but added at its input.

    Warns of a direction for layer 0, which would act on the embeddings, where nothing does here: it is left out.
    Raises SteeringError for a file that isn't `.svec`.
    """
    path = existing(path)
    directions = _directions(path)
    if directions.pop(0, None) is not None:
        warnings.warn(
            f"left out layer 0 of {path.name!r}: it acts on the embeddings, before the first block", stacklevel=2
        )
    if not directions:
        raise SteeringError(f"Expected a layer above 0 in {str(path)!r}, found none; nothing of it can act on a block.")
    return vector_at({layer - 1: values for layer, values in directions.items()}, path, model)


def _directions(path: Path) -> dict[int, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("directions"), dict):
        raise SteeringError(
            f"Expected 'directions' by layer in {str(path)!r}, found none; check that it is a .svec file."
        )
    return layer_numbers(content["directions"], path)
