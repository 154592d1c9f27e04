"""Tiny random models of every causal language model family of the installed transformers, built from configs.

Sizes are set by the names that configs share; `OVERRIDES` has what single families ask for.
"""

from typing import Any

import torch
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

LAYERS, WIDTH, VOCABULARY = 4, 32, 272
LARGEST = 8_000_000
"""Parameters of a model that is still tried."""
_HEADS = {"num_attention_heads": 4, "num_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
            "moe_intermediate_size": 24, "n_group": 1, "topk_group": 1}  # fmt: skip
_LATENT = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8,
           "index_n_heads": 2, "index_head_dim": 16}  # fmt: skip
_STATES = {
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 8,
    "mamba_d_state": 8,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_d_ssm": 64,
}
_TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "max_position_embeddings": 256,
    "sliding_window": 16,
    "is_decoder": True,
    "decoder_layers": LAYERS,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 48,
    "pad_token_id": 0,
    "eos_token_id": 1,
    **_HEADS,
    **_EXPERTS,
    **_LATENT,
    **_STATES,
}
_TOWER: dict[str, Any] = {
    "num_hidden_layers": 2,
    "encoder_layers": 2,
    "depth": 2,
    "hidden_size": WIDTH,
    "embed_dim": WIDTH,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
_MROPE = {"text_config": {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}}}
_MIXED = ["linear_attention", "full_attention"] * 2
_ALL_HEADS = {"num_key_value_heads": 4}
OVERRIDES: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {"layer_types": _MIXED, **_ALL_HEADS},
    "bamba": {"attn_layer_indices": [1, 3]},
    "codegen": {"rotary_dim": 4},
    "dots1": {"n_shared_experts": 1, **_ALL_HEADS},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8},
    "gemma3n_text": {"layer_types": ["sliding_attention", "full_attention"] * 2, "num_kv_shared_layers": 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {"layer_types": _MIXED},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": {"layer_types": _MIXED, **_ALL_HEADS},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "mamba2": {"num_heads": 8},
    "minimax": {"layer_types": _MIXED},
    "moshi": {"sliding_window": 256},
    "olmo_hybrid": {"layer_types": _MIXED},
    "qwen2_5_vl": _MROPE,
    "qwen2_vl": _MROPE,
    "qwen3_vl_moe": {"text_config": {"sliding_window": None}},
    "xmod": {"default_language": "en_XX"},
    "xlnet": {"d_head": 8},
    "xlstm": {"hidden_size": 128},
    "zamba": {"layers_block_type": ["mamba", "hybrid"] * 2},
    "zamba2": {"layers_block_type": ["mamba", "hybrid"] * 2},
    "zaya": {"num_experts_per_tok": 1},
}


IMAGE_TEXT = (
    "aya_vision", "cohere2_vision", "gemma3", "glm4v", "idefics2", "idefics3", "internvl", "kosmos-2", "lfm2_vl",
    "llama4", "llava", "llava_next", "mistral3", "ovis2", "paligemma", "qwen2_5_vl", "qwen2_vl", "qwen3_5", "qwen3_vl",
    "qwen3_vl_moe", "smolvlm",
)  # fmt: skip
"""Model types of image-text models whose text towers are tried too."""


def family_names() -> list[str]:
    """The model types of all causal language models, each class once, and of some image-text models."""
    by_class: dict[str, str] = {}
    for model_type, class_name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items():
        own = class_name.lower().startswith(model_type.replace("_", "").replace("-", ""))
        if own or class_name not in by_class:  # not an alias, where there is a name of its own
            by_class[class_name] = model_type
    return sorted({*by_class.values(), *IMAGE_TEXT})


def class_name(model_type: str) -> str:
    """The model's class."""
    names = {**MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, **MODEL_FOR_CAUSAL_LM_MAPPING_NAMES}
    return names[model_type]


def build(model_type: str) -> PreTrainedModel:
    """A tiny random model in float32 and evaluation mode; raises whatever a class that can't shrink raises."""
    torch.manual_seed(0)
    config = _shrunk(CONFIG_MAPPING[model_type](), _TEXT, OVERRIDES.get(model_type, {}))
    causal = model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    loader = AutoModelForCausalLM if causal else AutoModelForImageTextToText
    with torch.device("meta"):
        size = sum(weight.numel() for weight in loader.from_config(config).parameters())
    if size > LARGEST:
        raise ValueError(f"{size:,} parameters")
    model: PreTrainedModel = loader.from_config(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and parameter.is_floating_point():
            nn.init.normal_(parameter, std=0.15)
        elif name.endswith("bias"):
            nn.init.normal_(parameter, std=0.02)
    return model.eval()


def _shrunk(config: PreTrainedConfig, sizes: dict[str, Any], overrides: dict[str, Any]) -> PreTrainedConfig:
    """The config made again at the sizes that it has names for, and its parts in turn."""
    kind = type(config)
    names = {*config.to_dict(), *kind.attribute_map}
    values = {name: size for name, size in sizes.items() if name in names}
    if "kv_lora_rank" in values:
        values["num_key_value_heads"] = values["num_attention_heads"]  # latent attention has as many
    for part in kind.sub_configs:
        inner = getattr(config, part, None)
        if isinstance(inner, PreTrainedConfig):
            is_text = "text" in part or "decoder" in part
            values[part] = _shrunk(inner, _TEXT if is_text else _TOWER, overrides.get(part, {})).to_dict()
    return kind(**values | {name: value for name, value in overrides.items() if name not in kind.sub_configs})
