"""Qwen2 and Mistral written as Llama, the one of the three whose configuration has room for a bias in the MLP.

Llama's blocks do what theirs do, given attention and MLP biases and no sliding window. transformers, vLLM and llama.cpp
read the result as a Llama model.
"""

import torch
from torch import Tensor
from transformers import LlamaConfig

from steering.errors import SteeringError
from steering.models.language_model import LanguageModel

FAMILIES = ("llama", "mistral", "qwen2")
_SAME = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "initializer_range", "rms_norm_eps",
    "use_cache", "rope_parameters", "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id",
    "attention_dropout",
)  # fmt: skip
_WITH_BIAS = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip


def llama_form(lm: LanguageModel) -> tuple[LlamaConfig, dict[str, Tensor]]:
    """Configuration and weights of the same model as a Llama with biases, all of the new ones zero.

    Raises SteeringError for another family, and for a model that attends in a sliding window.
    """
    config = lm.model.config
    if config.model_type not in FAMILIES:
        raise SteeringError(
            f"Expected a model whose MLP has a bias, or of the families {', '.join(FAMILIES)}, found "
            f"{config.model_type!r}; its weights can't hold a slider: use hooks."
        )
    window = getattr(config, "sliding_window", None)
    if window is not None and window < config.max_position_embeddings:
        raise SteeringError(
            f"Expected a model without a sliding window, found one of {window} tokens, which its form with biases "
            "doesn't have; use hooks."
        )
    weights = dict(lm.model.state_dict())
    for layer in range(config.num_hidden_layers):
        for name in _WITH_BIAS:
            path = f"model.layers.{layer}.{name}"
            weight = weights[f"{path}.weight"]
            weights.setdefault(f"{path}.bias", torch.zeros(len(weight), dtype=weight.dtype, device=weight.device))
    same = {name: getattr(config, name) for name in _SAME if hasattr(config, name)}
    return LlamaConfig(**same, attention_bias=True, mlp_bias=True), weights
