"""TransformerLens' view of a transformers model that is loaded already."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steering.errors import SteeringError
from steering.extras import pip_install

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


def build_bridge(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> "TransformerBridge":
    """A bridge over the model where it stands, with attention in transformers' `eager` form, which shows its pattern.

    Args:
        model: the model.
        tokenizer: its tokenizer; the bridge has a copy.
        name: what the bridge calls the model.

    Raises:
        SteeringError: when transformer-lens isn't installed, or doesn't know the architecture.
    """
    try:
        from transformer_lens.model_bridge.sources import build_bridge_from_module
    except ImportError as error:
        raise SteeringError(
            f"A bridge needs TransformerLens, which isn't installed; run: {pip_install('lens')}"
        ) from error
    tokenizer = deepcopy(tokenizer)
    tokenizer.init_kwargs["add_bos_token"] = True  # else TransformerLens loads it again, by its name
    architecture = type(model).__name__
    known: dict[str, Any] = {"hf_config": model.config, "tokenizer": tokenizer}
    try:
        bridge = build_bridge_from_module(model, architecture, model_name=name, **known)
    except ValueError as error:
        raise SteeringError(
            f"TransformerLens has no bridge for {architecture!r}: {error}; use another model, or another "
            "version of transformer-lens."
        ) from error
    model.set_attn_implementation("eager")
    return bridge
