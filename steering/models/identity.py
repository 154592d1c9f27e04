"""Which model a vector belongs to: what is recorded in an artifact, and how two records are compared."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np
import torch
from pydantic import BaseModel, model_validator
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PretrainedConfig, PreTrainedModel

from steering.models.adapters import Adapter, active_adapters
from steering.models.weights_print import WeightsPrint, is_packed, own_tensors, weights_print

_SIZES = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")

AllowableMismatch: TypeAlias = Literal[
    "config", "weights", "quantization", "adapters", "chat_template", "template", "system_prompt"
]
"""A difference between a vector's model and another that a user may accept by name."""
ALLOWABLE: tuple[AllowableMismatch, ...] = get_args(AllowableMismatch)
GGUF_TENSORS = "gguf_tensors"
"""Under this name a configuration keeps the fingerprint of the GGUF file's tensors."""
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
    weights: WeightsPrint | None = None
    """Print of all weights, those of adapters and buffers left out."""
    gguf: str | None = None
    """Fingerprint of the tensors in the GGUF file that the weights are from, as they are packed there."""
    former_weights: str | None = None
    """Fingerprint of the signs in two matrices: all that files written before `WeightsPrint` say of the weights."""
    quantization: str = "none"
    """How the weights are packed, or were before they were loaded."""
    adapters: tuple[Adapter, ...] = ()
    """PEFT adapters that act, beside the weights."""
    chat_template: str | None = None
    """Fingerprint of the chat template, `"none"` for a tokenizer without one."""
    template: str | None = None
    """The chat template's arguments as JSON, the date that it writes among them; `"{}"` for none."""
    system_prompt: str | None = None
    """The system prompt that the user put in front of every chat, `""` for none, `"(empty)"` for an empty one."""

    @model_validator(mode="before")
    @classmethod
    def _read_former_weights(cls, content: Any) -> Any:
        if isinstance(content, dict) and isinstance(former := content.get("weights"), str):
            return content | {"weights": None, "former_weights": former}
        return content

    @property
    def key(self) -> str:
        """The identity as one string, the same for whatever dtype or engine the weights were loaded in: for caches."""
        weights: Any = True if self.gguf else {"sizes"}
        hidden = {"weights": weights, "adapters": {"__all__": {"weights": {"sizes"}}}}
        return self.model_dump_json(exclude=hidden | ({"former_weights": True} if self.gguf else {}))


@runtime_checkable
class KnowsItsFile(Protocol):
    """A model whose weights aren't in PyTorch's memory: it says itself what can be told of it."""

    def identify(self, name: str, revision: str | None) -> ModelIdentity:
        """What can be told without its tokenizer."""


def identify(
    model: PreTrainedModel, blocks: nn.ModuleList, name: str | None = None, revision: str | None = None
) -> ModelIdentity:
    """What can be told from the model alone; the tokenizer's part is unknown."""
    if isinstance(model, KnowsItsFile):
        return model.identify(name or "", revision)
    config = model.config.get_text_config(decoder=True)
    seen: set[int] = set()
    places = [list(own_tensors(part, seen)) for part in (*blocks, model)]
    return ModelIdentity(
        name=name or model.config.name_or_path or type(model).__name__,
        revision=revision,
        model_type=config.model_type,
        n_layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        config=config_fingerprint(config),
        weights=weights_print(places),
        gguf=getattr(model.config, GGUF_TENSORS, None),
        former_weights=_former_weights(model, places[len(blocks) // 2]),
        quantization=_quantization(model.config, itertools.chain(*places)),
        adapters=active_adapters((*blocks, model)),
    )


def config_fingerprint(config: PretrainedConfig) -> str:
    """Fingerprint of the sizes that make the architecture."""
    sizes = {key: getattr(config, key, None) for key in _SIZES}
    return fingerprint(json.dumps(sizes, sort_keys=True).encode())


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
        if _differs(key, expected, found):
            theirs, ours = _shown(key, expected, found)
            differences[key] = f"made with {key} {theirs!r} ({expected.name!r}), found {ours!r} ({found.name!r})"
    return differences


def same_weights(expected: ModelIdentity, found: ModelIdentity) -> bool | None:
    """Whether the weights beneath adapters are the same, by the best print that both have.

    False too where each has a print of another kind: then nobody can tell. None where one has none at all.
    """
    if expected.weights and found.weights:
        return expected.weights.matches(found.weights)
    for ours, theirs in ((expected.gguf, found.gguf), (expected.former_weights, found.former_weights)):
        if ours and theirs:
            return ours == theirs
    return False if all(map(_prints, (expected, found))) else None


def _differs(key: AllowableMismatch, expected: ModelIdentity, found: ModelIdentity) -> bool:
    """Weights that differ in their quantization too are that difference: nobody can tell more of them."""
    if key == "quantization":
        return expected.quantization != found.quantization and not same_weights(expected, found)
    if key == "weights":
        return expected.quantization == found.quantization and same_weights(expected, found) is False
    if key == "adapters":
        pairs = zip(expected.adapters, found.adapters, strict=False)
        return len(expected.adapters) != len(found.adapters) or not all(one.matches(other) for one, other in pairs)
    theirs, ours = getattr(expected, key), getattr(found, key)
    return theirs is not None and ours is not None and theirs != ours


def _shown(key: AllowableMismatch, *identities: ModelIdentity) -> list[str]:
    """What differs, in words."""
    if key == "adapters":
        return [", ".join(map(str, identity.adapters)) or "none" for identity in identities]
    if key == "weights":
        both = next((kind for kind in _PRINTS if all(getattr(identity, kind) for identity in identities)), None)
        return [str(getattr(identity, both)) if both else ", ".join(_prints(identity)) for identity in identities]
    return [str(getattr(identity, key)) for identity in identities]


_PRINTS = ("weights", "gguf", "former_weights")


def _prints(identity: ModelIdentity) -> list[str]:
    """What is known of the weights, in words."""
    return [f"{kind} {getattr(identity, kind)}" for kind in _PRINTS if getattr(identity, kind)]


def _quantization(config: PretrainedConfig, weights: Iterable[Tensor]) -> str:
    """The method and the bits that the configuration names, and the kinds of packed weights; `"none"` without any."""
    named = getattr(config, "quantization_config", None) or {}
    settings = named if isinstance(named, dict) else named.to_dict()
    packed = filter(is_packed, weights)
    kinds = {type(each).__name__ if hasattr(each, "__tensor_flatten__") else str(each.dtype) for each in packed}
    bits = f"{settings['bits']} bits" if "bits" in settings else ""
    method = settings.get("quant_method") or getattr(config, "dequantized_from", "")
    name = str(method.value if isinstance(method, Enum) else method)
    return " ".join(part for part in (name, bits, *sorted(kinds)) if part) or "none"


def _former_weights(model: PreTrainedModel, middle: Sequence[Tensor]) -> str | None:
    """Signs in the embeddings and in the largest matrix of the middle block; None where they can't be read."""
    signs = []
    for weight in (next(model.get_input_embeddings().parameters()), max(middle, key=torch.numel)):
        if weight.is_meta or is_packed(weight):
            return None
        whole = weight.full_tensor() if isinstance(weight, DTensor) else weight  # tensor parallel: each holds a part
        flat = whole.detach().flatten()
        signs.append(flat[:: max(1, flat.numel() // 16384)].signbit().cpu().numpy())
    return fingerprint(np.packbits(np.concatenate(signs)).tobytes())
