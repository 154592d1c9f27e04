"""Tiny random models of many families, and a byte tokenizer: real classes, no downloads."""

import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from steering import LanguageModel, SteeringVector

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL_TOKENS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
LAYERS, WIDTH, VOCABULARY = 4, 32, 272

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {"head_dim": 8},
    "Qwen3Moe": {"num_experts": LAYERS, **_EXPERTS},
    "Mistral": {"sliding_window": None},
    "Mixtral": {"num_local_experts": LAYERS, "num_experts_per_tok": 2},
    "Gemma2": {"head_dim": 8, "sliding_window": 16},
    "Gemma3": {"head_dim": 8, "sliding_window": 16},
    "Gemma3Multimodal": {},
    "Phi": {"num_key_value_heads": 4},
    "Phi3": {},
    "GPT2": {},
    "GPTNeoX": {},
    "Opt": {"ffn_dim": 48, "word_embed_proj_dim": WIDTH},
    "Bloom": {},
    "Falcon": {"alibi": False, "new_decoder_architecture": False},
    "Olmo2": {},
    "StableLm": {},
    "Cohere": {},
    "GptOss": {"num_local_experts": LAYERS, "num_experts_per_tok": 2, "head_dim": 8, "sliding_window": 16},
}
_CLASSES = {"Gemma3": "Gemma3ForCausalLM", "Opt": "OPTForCausalLM", "GPT2": "GPT2LMHeadModel"}
_CONFIGS = {"Gemma3": "Gemma3TextConfig", "Opt": "OPTConfig"}
_HAS_NO_KEY_VALUE_HEADS = ("GPT2", "GPTNeoX", "Opt", "Bloom", "Falcon")


def tiny_model(family: str = "Llama", seed: int = 0, **overrides: Any) -> PreTrainedModel:
    """A random model in float32 and evaluation mode."""
    torch.manual_seed(seed)
    if family == "Gemma3Multimodal":
        return _gemma3_multimodal()
    sizes = _SIZES | FAMILIES[family] | overrides
    if family in _HAS_NO_KEY_VALUE_HEADS:
        sizes.pop("num_key_value_heads")
    config = getattr(transformers, _CONFIGS.get(family, f"{family}Config"))(**sizes)
    model = getattr(transformers, _CLASSES.get(family, f"{family}ForCausalLM"))(config)
    _spread_weights(model)
    return model.eval()


def _gemma3_multimodal() -> PreTrainedModel:
    text = _SIZES | {"head_dim": 8, "sliding_window": 16}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 2,
              "image_size": 16, "patch_size": 8}  # fmt: skip
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    model = transformers.Gemma3ForConditionalGeneration(config)
    _spread_weights(model)
    return model.eval()


def _spread_weights(model: PreTrainedModel) -> None:
    """Larger weights than the usual initialisation, so that a forgotten push or a wrong mask shows in the logits."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
        elif name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.02)


def tiny_tokenizer(chat_template: str | None = CHAT_TEMPLATE) -> PreTrainedTokenizerFast:
    """One token a byte, and the tokens of a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate((*SPECIAL_TOKENS, *alphabet))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        extra_special_tokens=list(SPECIAL_TOKENS[2:]),
    )
    fast.chat_template = chat_template
    return fast


def tiny_lm(
    family: str = "Llama", seed: int = 0, chat_template: str | None = CHAT_TEMPLATE, **overrides: Any
) -> LanguageModel:
    system_prompt = overrides.pop("system_prompt", None)
    model = tiny_model(family, seed, **overrides)
    return LanguageModel(model, tiny_tokenizer(chat_template), name=f"tiny-{family}", system_prompt=system_prompt)


THINKING_TEMPLATE = CHAT_TEMPLATE.replace(
    "<|assistant|>{% endif %}",
    "<|assistant|>{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}",
)
"""As Qwen3's: the model opens its thought itself."""
OPENED_TEMPLATE = CHAT_TEMPLATE.replace("<|assistant|>{% endif %}", "<|assistant|><think>\n{% endif %}")
"""As DeepSeek-R1's: prompts end inside the thought."""


def thinking_lm(template: str = THINKING_TEMPLATE, family: str = "Llama", special: bool = False) -> LanguageModel:
    """A tiny model whose tokenizer has `<think>` and `</think>` as added tokens."""
    tokenizer = tiny_tokenizer(template)
    tokenizer.add_tokens(["<think>", "</think>"], special_tokens=special)
    return LanguageModel(tiny_model(family), tokenizer, name=f"thinking-{family}")


def random_vector(seed: int = 1, layers: tuple[int, ...] = (1, 2), scale: float = 3.0) -> SteeringVector:
    """Random directions for a tiny model."""
    generator = torch.Generator().manual_seed(seed)
    directions = scale * torch.randn(LAYERS, WIDTH, generator=generator)
    return SteeringVector(directions, recommended_layers=layers)


def save_folder(lm: LanguageModel, folder: Path | None = None) -> Path:
    """The model and tokenizer as a local folder in transformers' layout."""
    folder = folder or Path(tempfile.mkdtemp())
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder
