"""Run by a Python that has llama-cpp-python: logits of llama.cpp under control vectors that its own loader read.

`llama_logits.py MODEL.gguf LOADER.so IDS.npy OUT.npz [VECTOR.gguf …]`: `OUT.npz` gets `bare` and one array a vector
file, (tokens, vocabulary), under the file's name; one row of NaN for a file that the loader refuses.
"""

import ctypes
import sys
from pathlib import Path

import llama_cpp
import numpy as np

model_path, loader_path, ids_path, out_path, *vector_paths = sys.argv[1:]
ids = np.load(ids_path).tolist()
llama = llama_cpp.Llama(
    model_path,
    n_ctx=512,
    n_threads=1,  # threads of llama.cpp wait for each other in busy loops: slow where cores are shared
    n_threads_batch=1,
    logits_all=True,
    verbose=False,
    type_k=llama_cpp.GGML_TYPE_F32,  # a cache in half precision alone moves logits by a hundredth
    type_v=llama_cpp.GGML_TYPE_F32,
)
width, layers = llama.n_embd(), llama_cpp.llama_model_n_layer(llama.model)
loader = ctypes.CDLL(loader_path)


def logits() -> np.ndarray:
    llama.reset()
    llama.eval(ids)
    return np.array(llama.scores[: len(ids)], dtype=np.float32)


found = {"bare": logits()}
for path in vector_paths:
    buffer = (ctypes.c_float * (width * layers))()
    size = loader.load_control_vector(path.encode(), buffer, len(buffer))
    if size < 0:
        found[Path(path).name] = np.full((1, 1), np.nan)
        continue
    # The whole buffer, zeros too: layers beyond the length given would keep an earlier vector's directions.
    if llama_cpp.llama_set_adapter_cvec(llama.ctx, buffer, len(buffer), width, 1, layers) != 0:
        raise SystemExit(f"llama.cpp refused the control vector {path}")
    found[Path(path).name] = logits()
    llama_cpp.llama_set_adapter_cvec(llama.ctx, None, 0, width, 0, 0)
np.savez(out_path, **found)
