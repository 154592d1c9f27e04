"""TransformerLens 4's `TransformerBridge`: the transformers model inside it, whose blocks its own forward passes run.

A bridge is known by what it has: TransformerLens is not imported, and need not be installed.
"""

from typing import Protocol, runtime_checkable

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steering.errors import SteeringError
from steering.models.language_model import LanguageModel


@runtime_checkable
class Bridge(Protocol):
    """What is used of a `TransformerBridge`."""

    original_model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    compatibility_mode: bool


def language_model(model: LanguageModel | Bridge) -> LanguageModel:
    """The model and tokenizer of a bridge; a `LanguageModel` as it is.

    Raises SteeringError for a model without its tokenizer, and for a bridge in compatibility mode, which folds the
    norms into other weights: its residual stream is another one.
    """
    if isinstance(model, LanguageModel):
        return model
    if not isinstance(model, Bridge):
        raise SteeringError(
            f"Expected a LanguageModel or a TransformerBridge, found {type(model).__name__!r}; wrap the model with its "
            "tokenizer: LanguageModel(model, tokenizer)."
        )
    if model.compatibility_mode:
        raise SteeringError(
            "Expected a TransformerBridge with the model's own weights, found one in compatibility mode; "
            "boot another and leave out enable_compatibility_mode()."
        )
    return LanguageModel(model.original_model, model.tokenizer)
