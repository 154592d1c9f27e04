"""What a checkpoint says of itself before its weights are read: does it write text, is it an adapter."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)
from transformers.utils.hub import cached_file
from transformers.utils.peft_utils import ADAPTER_SAFE_WEIGHTS_NAME, find_adapter_config_file

from steering.errors import SteeringError, quoted
from steering.json_reading import read_json

_WRITERS = {*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values(), *MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values()}


def check_writes_text(config: PretrainedConfig, name: str) -> None:
    """Raise SteeringError unless a checkpoint is of a decoder-only model with a head that writes tokens."""
    classes = config.architectures or []
    found = quoted(classes or [config.model_type])
    if config.is_encoder_decoder or config.get_text_config(decoder=True).is_encoder_decoder:
        raise SteeringError(
            f"Expected a decoder-only language model, found the encoder-decoder {found} in {name!r}; "
            "load a causal language model."
        )
    if classes and not any(each in _WRITERS or each.endswith("ForCausalLM") for each in classes):
        raise SteeringError(
            f"Expected a language model that writes text, found {found} in {name!r}, which has no head for it; "
            "load a causal language model, such as one whose class ends in 'ForCausalLM'."
        )


def check_complete(loaded: Mapping[str, Collection[str]], name: str) -> None:
    """Raise SteeringError for weights that the files lack: transformers fills them with random numbers.

    Args:
        loaded: transformers' `output_loading_info`.
        name: of the model, as the user gave it.
    """
    if missing := sorted(loaded["missing_keys"]):
        raise SteeringError(
            f"Expected all weights of the model in {name!r}, found {len(missing)} missing, such as {missing[0]!r}; "
            "get a fresh copy."
        )


@dataclass(frozen=True)
class AdapterCheckpoint:
    """A PEFT adapter in a folder or on the Hub."""

    base: str | None
    """Name of the model beneath it; None where that is in the same folder."""
    base_revision: str | None
    has_tokenizer: bool


def find_adapter(source: str, options: dict[str, Any]) -> AdapterCheckpoint | None:
    """The PEFT adapter at a folder or Hub id, None where there is none.

    Raises SteeringError where PEFT isn't installed, and for an adapter without safetensors or without a named base.
    """
    places = {key: value for key, value in options.items() if key != "trust_remote_code"}
    config_file = find_adapter_config_file(source, **places)
    if config_file is None:
        return None
    if find_spec("peft") is None:
        raise SteeringError(f"{source!r} is a PEFT adapter, and PEFT isn't installed; pip install 'trimtab[peft]'.")
    weights, tokenizer = (
        cached_file(source, file, _raise_exceptions_for_missing_entries=False, **places)
        for file in (ADAPTER_SAFE_WEIGHTS_NAME, "tokenizer_config.json")
    )
    if weights is None:
        raise SteeringError(
            f"Expected the adapter {source!r} to have its weights in {ADAPTER_SAFE_WEIGHTS_NAME!r}, found no such "
            "file; save it anew with PEFT's save_pretrained, which writes it."
        )
    settings = read_json(config_file)
    if (Path(source) / "config.json").is_file():
        return AdapterCheckpoint(None, None, tokenizer is not None)
    base = settings.get("base_model_name_or_path") if isinstance(settings, dict) else None
    if not isinstance(base, str) or not base:
        raise SteeringError(
            f"The adapter {source!r} doesn't say which model it belongs to; write its name into "
            "base_model_name_or_path of its adapter_config.json."
        )
    return AdapterCheckpoint(base, settings.get("revision"), tokenizer is not None)
