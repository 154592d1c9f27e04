"""A model with a setting of the sliders in its weights, as a folder that transformers loads like any other.

What is added at a block's output is a bias of the last linear map in it. That is exact where nothing comes between that
map and the residual stream: not on Gemma-2 and 3, which have a norm there.

Qwen2 and Mistral are written as Llama, the one of the three whose configuration has room for a bias in the MLP: its
blocks do what theirs do, given attention and MLP biases and no sliding window. transformers, vLLM and llama.cpp read
the result as a Llama model.
"""

from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from steering.atomic_write import new_folder
from steering.errors import SteeringError
from steering.formats.fixed_sliders import Exportable
from steering.formats.model_folder import additions_for, check_logits, last_projection, write_model
from steering.models.language_model import LanguageModel

LLAMA_FAMILIES = ("llama", "mistral", "qwen2")
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


def to_baked(exportable: Exportable, path: str | Path, lm: LanguageModel) -> None:
    """Write the folder, whole or not at all: the model `lm` as the setting moves it, and its tokenizer.

    A family whose MLP has a bias stays what it is, others become Llama. Raises SteeringError for anything but additions
    at blocks, for vectors of another model, and where the logits aren't those of the hooks (see `check_logits`).
    """
    additions = additions_for(exportable, lm, "a baked model")
    projections = {layer: last_projection(lm, layer) for layer in additions}
    if all(module.bias is not None for _, module in projections.values()):
        kind, config, weights = type(lm.model), deepcopy(lm.model.config), dict(lm.model.state_dict())
    else:
        kind = LlamaForCausalLM
        config, weights = llama_form(lm)
    for layer, push in additions.items():
        bias = f"{projections[layer][0]}.bias"
        weights[bias] = weights[bias] + push.to(weights[bias].device)
    with new_folder(path) as folder:
        write_model(folder, lm, kind, config, weights)
        check_logits(folder, lm, additions, "baked")


def llama_form(lm: LanguageModel) -> tuple[LlamaConfig, dict[str, Tensor]]:
    """Configuration and weights of the same model as a Llama with biases, all of the new ones zero.

    Raises SteeringError for another family, and for a model that attends in a sliding window.
    """
    config = lm.model.config
    if config.model_type not in LLAMA_FAMILIES:
        raise SteeringError(
            f"Expected a model whose MLP has a bias, or of the families {', '.join(LLAMA_FAMILIES)}, found "
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
            weights.setdefault(f"{path}.bias", torch.zeros_like(weights[f"{path}.weight"][:, 0]))
    same = {name: getattr(config, name) for name in _SAME if hasattr(config, name)}
    return LlamaConfig(**same, attention_bias=True, mlp_bias=True), weights
