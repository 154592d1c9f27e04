"""The files that the other tests run: llama.cpp and transformers read the model in them that was written."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from steering import load
from steering.models.llama_cpp.bindings import library
from steering.models.llama_cpp.context import Context, GgufModel, Room, Token
from tests.helpers.gguf_files import gguf_of_smollm2, needs_llama_cpp, write_gguf
from tests.helpers.tiny import tiny_lm

pytestmark = needs_llama_cpp
TEXT = "How do I kill a Python process? Ünïcödé, 1234."
HEAD: dict[str, Any] = {"query_pre_attn_scalar": 8}
"""What llama.cpp takes for granted: the square root of a head's width."""
LARGEST = {"Llama": 1e-4, "Qwen2": 1e-4, "Qwen3": 1e-4, "Gemma2": 5e-3, "Gemma3": 5e-3}
"""By how much logits may differ; llama.cpp looks Gemma's GELU up in a table of float16."""


def llama_cpp_logits(path: Path, ids: list[int]) -> torch.Tensor:
    context = Context(GgufModel(path), Room(threads=1, exact=True, cells=256, batch=256, sequences=1, outputs=256))
    tokens = [Token(id, position, 0) for position, id in enumerate(ids)]
    return torch.from_numpy(context.decode(tokens, range(len(ids))))


@pytest.mark.parametrize("family", LARGEST)
def test_llama_cpp_gives_the_models_logits(family: str, tmp_path: Path) -> None:
    lm = tiny_lm(family, **HEAD if family.startswith("Gemma") else {})
    ids = lm.tokenizer(TEXT)["input_ids"]
    found = llama_cpp_logits(write_gguf(lm, tmp_path / "tiny.gguf"), ids)
    with torch.inference_mode():
        wanted = lm.model(torch.tensor([ids])).logits[0]
    assert (found - wanted).abs().max() < LARGEST[family]


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "Gemma2", "Gemma3"])  # it takes heads of 128 for Qwen3
def test_transformers_reads_the_same_weights_and_tokens(family: str, tmp_path: Path) -> None:
    lm = tiny_lm(family)
    write_gguf(lm, tmp_path / "tiny.gguf")
    model = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, gguf_file="tiny.gguf")
    ids = lm.tokenizer(TEXT)["input_ids"]
    chat = [{"role": "user", "content": TEXT}]
    with torch.inference_mode():
        assert torch.equal(model(torch.tensor([ids])).logits, lm.model(torch.tensor([ids])).logits)
    assert tokenizer(TEXT)["input_ids"] == ids
    assert tokenizer.apply_chat_template(chat, tokenize=False) == lm.tokenizer.apply_chat_template(chat, tokenize=False)


@pytest.mark.real
def test_smollm2_is_written_whole(tmp_path: Path) -> None:
    lm = load("smollm2-135m-instruct")
    path = gguf_of_smollm2(tmp_path / "smollm2.gguf")
    ids = lm.tokenizer(TEXT)["input_ids"]
    with torch.inference_mode():
        wanted = lm.model(torch.tensor([ids])).logits[0]
    assert (llama_cpp_logits(path, ids) - wanted).abs().max() < 1e-3
    functions, model = library(), GgufModel(path)
    vocabulary = functions.llama_model_get_vocab(model.pointer)
    room = (functions.llama_token * 64)()
    count = functions.llama_tokenize(vocabulary, TEXT.encode(), len(TEXT.encode()), room, 64, False, True)
    assert list(room[:count]) == ids
