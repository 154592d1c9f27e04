"""Which model a vector belongs to: what is recorded in an artifact, and how two records are compared."""

import hashlib
import json
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

_SIZES = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")

AllowableMismatch: TypeAlias = Literal["config", "weights", "chat_template", "template", "system_prompt"]
"""A difference between a vector's model and another that a user may accept by name."""
ALLOWABLE: tuple[AllowableMismatch, ...] = get_args(AllowableMismatch)
EMPTY_SYSTEM_PROMPT = "(empty)"
"""What stands for an empty system prompt, as `""` has always stood for none."""


class ModelIdentity(BaseModel, frozen=True, extra="forbid"):
    """Fingerprints of the model on which a vector was made. `None` stands for unknown and matches anything."""

    name: str
    """Hub id, folder or file that was loaded."""
    revision: str | None = None
    model_type: str
    n_layers: int
    d_model: int
    config: str
    """Fingerprint of the sizes that make the architecture."""
    weights: str | None = None
    """Fingerprint of the signs of a sample of the weights, which survive loading in another dtype."""
    chat_template: str | None = None
    """Fingerprint of the chat template, `"none"` for a tokenizer without one."""
    template: str | None = None
    """The chat template's arguments as JSON, the date that it writes among them; `"{}"` for none."""
    system_prompt: str | None = None
    """The system prompt that the user put in front of every chat, `""` for none, `"(empty)"` for an empty one."""


def identify(
    model: PreTrainedModel, blocks: nn.ModuleList, name: str | None = None, revision: str | None = None
) -> ModelIdentity:
    """What can be told from the model alone; the tokenizer's part is unknown."""
    config = model.config.get_text_config(decoder=True)
    sizes = {key: getattr(config, key, None) for key in _SIZES}
    return ModelIdentity(
        name=name or model.config.name_or_path or type(model).__name__,
        revision=revision,
        model_type=config.model_type,
        n_layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        config=fingerprint(json.dumps(sizes, sort_keys=True).encode()),
        weights=_weights_fingerprint(model, blocks),
    )


def fingerprint(content: bytes) -> str:
    """SHA-256, 16 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:16]


def mismatches(expected: ModelIdentity, found: ModelIdentity) -> dict[str, str]:
    """What differs, by the name that allows it: `architecture` or one of `ALLOWABLE`.

    `architecture` (number or width of the layers) can't be allowed: the vector doesn't fit.
    """
    differences = {}
    shapes = [f"{i.n_layers} layers of width {i.d_model}" for i in (expected, found)]
    if shapes[0] != shapes[1]:
        differences["architecture"] = f"made for {shapes[0]} ({expected.name!r}), found {shapes[1]} ({found.name!r})"
    for key in ALLOWABLE:
        theirs, ours = getattr(expected, key), getattr(found, key)
        if theirs is not None and ours is not None and theirs != ours:
            differences[key] = f"made with {key} {theirs!r} ({expected.name!r}), found {ours!r} ({found.name!r})"
    return differences


def _weights_fingerprint(model: PreTrainedModel, blocks: nn.ModuleList) -> str | None:
    """Signs of weights in the embeddings and the middle block: they survive rounding to any dtype.

    None where weights are not in memory (offloaded).
    """
    middle = max(blocks[len(blocks) // 2].parameters(), key=torch.numel)
    signs = []
    for weight in (next(model.get_input_embeddings().parameters()), middle):
        if weight.is_meta:
            return None
        whole = weight.full_tensor() if isinstance(weight, DTensor) else weight  # tensor parallel: each holds a part
        flat = whole.detach().flatten()
        signs.append(flat[:: max(1, flat.numel() // 16384)].signbit().cpu().numpy())
    return fingerprint(np.packbits(np.concatenate(signs)).tobytes())
