"""On a llama.cpp that was built for a GPU: blocks there are read and moved as on the CPU."""

from pathlib import Path

import pytest
import torch

from steering import Sliders, load, record
from steering.models.llama_cpp.bindings import library
from steering.models.llama_cpp.context import Room
from steering.models.llama_cpp.loading import load_gguf
from tests.helpers.gguf_files import needs_llama_cpp, write_gguf
from tests.helpers.tiny import random_vector, tiny_lm

PROMPTS = ["Why is the sky blue?", "Hi", "How do I kill a Python process that hangs for hours?"]
MATCHED = ("weights", "quantization")


@needs_llama_cpp
@pytest.mark.parametrize("family", ["Llama", "Qwen2"])
def test_blocks_on_a_gpu_put_out_what_they_do_in_pytorch_bare_and_moved(family: str, tmp_path: Path) -> None:
    if not library().llama_supports_gpu_offload():
        pytest.skip("needs a llama.cpp that was built for a GPU")
    lm = tiny_lm(family)
    on_gpu = load_gguf(write_gguf(lm, tmp_path / "tiny.gguf"), Room(threads=1, exact=True), gpu_layers=-1)
    sliders = Sliders(a=random_vector(1) * 3.0, b=random_vector(2))
    for values in ({"a": 0.0, "b": 0.0}, {"a": [1.0, 0.0, -1.0], "b": 2.0}):
        states, written = [], []
        for model in (on_gpu, lm):
            with sliders.attach(model, allow_mismatch=MATCHED) as dial:
                dial.set(**values)
                states.append(record(model, PROMPTS, position="all"))
                tokens = {"max_new_tokens": 6, "min_new_tokens": 6}
                written.append(model.generate(PROMPTS, **tokens))
        torch.testing.assert_close(states[0], states[1], atol=2e-3, rtol=2e-3)  # TF32 in matrix products
    assert load(tmp_path / "tiny.gguf", engine="llama.cpp", device_map="auto").n_layers == lm.n_layers
