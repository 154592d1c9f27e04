"""The server's worker of either engine, for the same weights."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from steering import LanguageModel, Sliders, load
from tests.helpers.gguf_files import write_gguf
from trimtab.serve.limits import Limits
from trimtab.serve.llama_cpp_worker import LlamaCppWorker
from trimtab.serve.transformers_worker import TransformersWorker
from trimtab.serve.worker import Worker

EngineName: TypeAlias = Literal["transformers", "llama.cpp"]


def worker_of(engine: EngineName, lm: LanguageModel, sliders: Sliders, limits: Limits | None = None) -> Worker:
    """A worker for a model that transformers runs; in llama.cpp as a GGUF file in float32."""
    if engine == "transformers":
        return TransformersWorker(lm, sliders, limits)
    return LlamaCppWorker(in_llama_cpp(lm), sliders, limits, exact=True)


def in_llama_cpp(lm: LanguageModel) -> LanguageModel:
    """The model as llama.cpp runs it, with the same tokenizer and end tokens."""
    loaded = load(write_gguf(lm, Path(tempfile.mkdtemp()) / "tiny.gguf"), engine="llama.cpp")
    loaded.model.generation_config.eos_token_id = lm.model.generation_config.eos_token_id
    return replace(loaded, tokenizer=lm.tokenizer)
