"""GGUF files in float32 of models that transformers runs: the same weights, for llama.cpp."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import gguf
import pytest
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from steering import LanguageModel, load

needs_llama_cpp = pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed; run: make llama-cpp"
)
ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
}
"""By transformers' `model_type`."""
_TYPES = gguf.TokenType


def write_gguf(lm: LanguageModel, path: Path, splits: str = "gpt-2") -> Path:
    """A GGUF file of the model in float32, with its tokenizer and chat template.

    Args:
        lm: a model of `ARCHITECTURES` with a byte-level BPE tokenizer.
        path: the file to write.
        splits: what llama.cpp calls the way in which the tokenizer splits text before it merges.
    """
    architecture = ARCHITECTURES[lm.model.config.model_type]
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_name(lm.name)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_sizes(writer, lm.model.config)
    _add_tokenizer(writer, lm.tokenizer, lm.model.config.vocab_size, splits)
    names = gguf.get_tensor_name_map(architecture, lm.model.config.num_hidden_layers)
    layout = _layout(lm.model.config)
    tied = lm.model.config.tie_word_embeddings
    for name, tensor in lm.model.state_dict().items():
        if not (tied and name == "lm_head.weight"):
            stored = layout(name, tensor.float()).contiguous().numpy()
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def gguf_of_smollm2(path: Path) -> Path:
    """SmolLM2's packaged weights, dequantized, as a GGUF file in float32."""
    return write_gguf(load("smollm2-135m-instruct"), path, splits="smollm")


def _add_sizes(writer: gguf.GGUFWriter, config: PretrainedConfig) -> None:
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if config.model_type.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    if config.model_type == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)


def _layout(config: PretrainedConfig) -> Callable[[str, Tensor], Tensor]:
    """How llama.cpp wants a tensor that transformers calls by a name."""

    def rotated(tensor: Tensor, heads: int) -> Tensor:
        """Queries and keys with the two halves of each head interleaved: Llama's own order."""
        halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
        return halves.swapaxes(1, 2).reshape(tensor.shape)

    def stored(name: str, tensor: Tensor) -> Tensor:
        if config.model_type == "llama" and ".q_proj." in name:
            return rotated(tensor, config.num_attention_heads)
        if config.model_type == "llama" and ".k_proj." in name:
            return rotated(tensor, config.num_key_value_heads)
        if config.model_type.startswith("gemma") and name.endswith("norm.weight"):
            return tensor + 1
        return tensor

    return stored


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerBase, size: int, splits: str) -> None:
    tokens = [f"[PAD{number}]" for number in range(size)]
    types = [_TYPES.UNUSED] * size
    for token, number in tokenizer.get_vocab().items():
        tokens[number], types[number] = token, _TYPES.NORMAL
    for number, token in tokenizer.added_tokens_decoder.items():
        types[number] = _TYPES.CONTROL if token.special else _TYPES.USER_DEFINED
    merges = [
        merge if isinstance(merge, str) else " ".join(merge)
        for merge in json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    ]
    if not merges:  # a list can't be empty: this merge never happens, as special tokens are no parts of others
        tokens[-1], merges = tokens[0] * 2, [f"{tokens[0]} {tokens[0]}"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splits)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    for add, number in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
        (writer.add_unk_token_id, tokenizer.unk_token_id),
    ):
        if number is not None:
            add(number)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
