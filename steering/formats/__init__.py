"""Sliders for other tools, one consumer a file.

`EXPORTS` write a file from a vector or a setting alone; `MODEL_EXPORTS` write a folder, and need the model.
TransformerLens takes no file but hooks: `steering.formats.transformer_lens`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from steering.formats.baked import to_baked
from steering.formats.caa import from_caa
from steering.formats.control_vector import from_gguf, to_gguf
from steering.formats.easysteer import to_easysteer
from steering.formats.fixed_sliders import Exportable, FixedSliders
from steering.formats.lm_eval import to_lm_eval
from steering.formats.npz import from_npz, to_npz
from steering.formats.orthogonalized import to_orthogonalized
from steering.formats.peft import to_peft
from steering.formats.refusal_direction import from_refusal_direction
from steering.formats.steering_vectors import from_steering_vectors
from steering.formats.svec import from_activation_steering, from_aisteer360, to_activation_steering, to_aisteer360
from steering.models.identity import ModelIdentity
from steering.models.language_model import LanguageModel
from steering.vectors.steering_vector import SteeringVector

Export: TypeAlias = Callable[[Exportable, Path], None]
"""Writes one file."""
ModelExport: TypeAlias = Callable[[Exportable, Path, LanguageModel], None]
"""Writes one folder."""

EXPORTS: dict[str, Export] = {
    "gguf": to_gguf,
    "repeng": to_gguf,
    "easysteer": to_easysteer,
    "lm-eval": to_lm_eval,
    "aisteer360": to_aisteer360,
    "activation-steering": to_activation_steering,
    "npz": to_npz,
}
MODEL_EXPORTS: dict[str, ModelExport] = {
    "baked": to_baked,
    "orthogonalized": to_orthogonalized,
    "peft": to_peft,
}
SUFFIXES = {
    "gguf": ".gguf",
    "repeng": ".gguf",
    "easysteer": ".json",
    "lm-eval": ".pt",
    "aisteer360": ".svec",
    "activation-steering": ".svec",
    "npz": ".npz",
}
"""How the consumers' files end; most of them insist."""

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

__all__ = [
    "EXPORTS",
    "IMPORTS",
    "MODEL_EXPORTS",
    "SUFFIXES",
    "Export",
    "Exportable",
    "FixedSliders",
    "Import",
    "ModelExport",
]
