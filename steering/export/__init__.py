"""Sliders for other tools, one consumer a file.

`EXPORTS` write a file from a vector or a setting alone; `MODEL_EXPORTS` write a folder, and need the model.
TransformerLens takes no file but hooks: `steering.export.transformer_lens`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from steering.export.baked import to_baked
from steering.export.control_vector import to_gguf
from steering.export.easysteer import to_easysteer
from steering.export.lm_eval import to_lm_eval
from steering.export.npz import to_npz
from steering.export.orthogonalized import to_orthogonalized
from steering.export.peft import to_peft
from steering.export.setting import Setting, Steering
from steering.export.svec import to_activation_steering, to_aisteer360
from steering.language_model import LanguageModel

Export: TypeAlias = Callable[[Steering, Path], None]
"""Writes one file."""
ModelExport: TypeAlias = Callable[[Steering, Path, LanguageModel], None]
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

__all__ = ["EXPORTS", "MODEL_EXPORTS", "SUFFIXES", "Export", "ModelExport", "Setting", "Steering"]
