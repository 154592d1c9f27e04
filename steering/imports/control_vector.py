"""GGUF control vectors of repeng, llama.cpp's generator, EasySteer, saklas, and our own.

`direction.N` is read (by repeng at `hidden_states[N + 1]`) and added at the output of block N: layer N here.
"""

from pathlib import Path
from typing import Any

import gguf
from pydantic import ValidationError

from steering.errors import SteeringError
from steering.export.control_vector import ARCHITECTURE, MODEL_KEY
from steering.identity import ModelIdentity
from steering.imports.reading import existing, layer_numbers, vector_at
from steering.vector import SteeringVector


def from_gguf(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """The vector in a GGUF file; slider 1 adds what the tool adds at scale 1.

    `model` is recorded as the one that it belongs to; a file of ours says it itself. Raises SteeringError for a file
    that isn't a control vector.
    """
    path = existing(path)
    try:
        reader: Any = gguf.GGUFReader(path)
        tensors = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).copy() for tensor in reader.tensors}
        fields = {
            name: field.contents()
            for name, field in reader.fields.items()
            if name in ("general.architecture", MODEL_KEY)
        }
    except Exception as error:  # the reader raises whatever a damaged file makes numpy raise
        raise SteeringError(
            f"{str(path)!r} is not a GGUF file that can be read ({error}); get a fresh copy."
        ) from error
    if fields.get("general.architecture") != ARCHITECTURE:
        raise SteeringError(
            f"Expected a GGUF control vector in {str(path)!r}, found architecture "
            f"{fields.get('general.architecture')!r}; check the path."
        )
    prefix = "direction."
    named = {name.removeprefix(prefix): data for name, data in tensors.items() if name.startswith(prefix)}
    return vector_at(layer_numbers(named, path), path, model or _own_model(fields.get(MODEL_KEY), path))


def _own_model(text: str | None, path: Path) -> ModelIdentity | None:
    try:
        return None if text is None else ModelIdentity.model_validate_json(text)
    except ValidationError as error:
        raise SteeringError(f"{str(path)!r} has a damaged entry {MODEL_KEY!r}; get a fresh copy.") from error
