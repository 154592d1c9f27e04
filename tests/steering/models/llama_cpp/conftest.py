"""The same tiny models twice: run by PyTorch, and by llama.cpp from a GGUF file in float32."""

import copy
from pathlib import Path
from typing import NamedTuple

import pytest

from steering import LanguageModel
from steering.models.llama_cpp.context import GgufModel, Room
from steering.models.llama_cpp.loading import load_gguf
from steering.models.llama_cpp.module import LlamaCppModel
from tests.helpers.gguf_files import write_gguf
from tests.helpers.tiny import tiny_lm

ROOM = Room(cells=256, batch=64, sequences=2, outputs=2, threads=1, exact=True)


class Both(NamedTuple):
    """One model on two engines."""

    torch: LanguageModel
    llama: LanguageModel
    largest: float
    """By how much logits may differ: llama.cpp looks Gemma's GELU up in a table of float16."""


@pytest.fixture(scope="session", params=["Llama", "Qwen2", "Gemma2"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    file = Path(tmp_path_factory.mktemp("gguf"), f"{request.param}.gguf")
    if request.param != "Gemma2":
        lm = tiny_lm(request.param)
        return Both(lm, load_gguf(write_gguf(lm, file), ROOM), 2e-4)
    lm = tiny_lm("Gemma2", query_pre_attn_scalar=8)  # llama.cpp takes the root of a head's width
    config = copy.deepcopy(lm.model.config)
    config.gguf_tensors = "tiny"
    module = LlamaCppModel(config, lm.model.generation_config, GgufModel(write_gguf(lm, file)), ROOM)
    return Both(lm, LanguageModel(module, lm.tokenizer, str(file)), 5e-3)  # transformers can't read this tokenizer
