"""Sliders for other tools, one consumer a file.

`EXPORTS` write a file from a vector or a setting alone; `MODEL_EXPORTS` write a folder, and need the model; `IMPORTS`
read a file and record the model that it belongs to, where it is given. TransformerLens takes no file but hooks:
`steering.formats.transformer_lens`.
"""

from collections.abc import Callable
from pathlib import Path

from steering.formats.baked import to_baked
from steering.formats.caa import from_caa
from steering.formats.control_vector import from_gguf, to_gguf
from steering.formats.easysteer import to_easysteer
from steering.formats.fixed_sliders import Exportable as Exportable
from steering.formats.fixed_sliders import FixedSliders as FixedSliders
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

EXPORTS: dict[str, Callable[[Exportable, Path], None]] = {
    "gguf": to_gguf,
    "repeng": to_gguf,
    "easysteer": to_easysteer,
    "lm-eval": to_lm_eval,
    "aisteer360": to_aisteer360,
    "activation-steering": to_activation_steering,
    "npz": to_npz,
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
MODEL_EXPORTS: dict[str, Callable[[Exportable, Path, LanguageModel], None]] = {
    "baked": to_baked,
    "orthogonalized": to_orthogonalized,
    "peft": to_peft,
}
IMPORTS: dict[str, Callable[[Path, ModelIdentity | None], SteeringVector]] = {
    "gguf": from_gguf,
    "repeng": from_gguf,
    "aisteer360": from_aisteer360,
    "activation-steering": from_activation_steering,
    "caa": from_caa,
    "refusal-direction": from_refusal_direction,
    "steering-vectors": from_steering_vectors,
    "npz": from_npz,
}
