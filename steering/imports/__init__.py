"""Vectors from other tools' files, one tool a file. Each says where the tool reads and adds, and converts the layer."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from steering.identity import ModelIdentity
from steering.imports.caa import from_caa
from steering.imports.control_vector import from_gguf
from steering.imports.npz import from_npz
from steering.imports.refusal_direction import from_refusal_direction
from steering.imports.steering_vectors import from_steering_vectors
from steering.imports.svec import from_activation_steering, from_aisteer360
from steering.vector import SteeringVector

Import: TypeAlias = Callable[[Path, ModelIdentity | None], SteeringVector]
"""Reads a file; the model that it belongs to is recorded where it is given."""

IMPORTS: dict[str, Import] = {
    "gguf": from_gguf,
    "repeng": from_gguf,
    "aisteer360": from_aisteer360,
    "activation-steering": from_activation_steering,
    "caa": from_caa,
    "refusal-direction": from_refusal_direction,
    "steering-vectors": from_steering_vectors,
    "npz": from_npz,
}

__all__ = ["IMPORTS", "Import"]
