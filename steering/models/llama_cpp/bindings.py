"""llama.cpp's C functions through llama-cpp-python, looked at before they are called.

A struct whose layout has changed would be silently wrong settings: the package's version and the default parameters are
compared with those that were tested.
"""

import ctypes
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from steering.errors import SteeringError, quoted
from steering.extras import pip_install

TESTED_VERSIONS = ("0.3.36",)
"""Of llama-cpp-python."""
INSTALL = pip_install("llama-cpp")
_CONTEXT_DEFAULTS = {
    "n_ctx": 512,
    "n_batch": 2048,
    "n_ubatch": 512,
    "n_seq_max": 1,
    "rope_scaling_type": -1,
    "pooling_type": -1,
    "attention_type": -1,
    "flash_attn_type": -1,
    "yarn_ext_factor": -1.0,
    "cb_eval_user_data": None,
    "type_k": 1,
    "type_v": 1,
    "offload_kqv": True,
    "op_offload": True,
    "kv_unified": False,
    "n_samplers": 0,
}
"""What llama.cpp's default parameters are known to be, from the struct's first field to nearly its last."""


class TensorFunctions(NamedTuple):
    """What is called of a graph's nodes, by their addresses."""

    name: Any
    rows: Any
    size: Any
    """Bytes."""
    read: Any
    """`(node, pointer, offset, size)`, from whatever device it is on."""
    write: Any


@cache
def library() -> Any:
    """llama-cpp-python's C functions, initialized and silenced.

    Raises:
        SteeringError: where the package is missing, or isn't one of the versions that were tested.
    """
    try:
        found = version("llama-cpp-python")
    except PackageNotFoundError:
        raise SteeringError(
            f"The engine llama.cpp needs llama-cpp-python {TESTED_VERSIONS[-1]}, which is not installed; run: {INSTALL}"
        ) from None
    if found not in TESTED_VERSIONS:
        raise SteeringError(
            f"Expected a version of llama-cpp-python whose structures were tested, {quoted(TESTED_VERSIONS)}, found "
            f"{found!r}; run: {INSTALL}"
        )
    import llama_cpp.llama_cpp as functions

    defaults = functions.llama_context_default_params()
    differing = [name for name, value in _CONTEXT_DEFAULTS.items() if getattr(defaults, name) != value]
    if differing or defaults.cb_eval:
        raise SteeringError(
            f"Expected llama.cpp's tested default parameters, found others for {quoted(differing or ['cb_eval'])}: "
            f"another llama.cpp stands behind llama-cpp-python {found}; install it anew: {INSTALL}"
        )
    functions.llama_log_set(_silent(functions), None)
    functions.llama_backend_init()
    return functions


@cache
def package() -> Any:
    """llama-cpp-python itself; raises what `library` does."""
    library()
    import llama_cpp

    return llama_cpp


@cache
def tensor_functions() -> TensorFunctions:
    """ggml's functions on tensors, from the library that llama.cpp itself uses."""
    functions = library()
    for name in ("ggml-base", "ggml", "llama"):
        try:
            ggml = functions.load_shared_library(name, functions._base_path)
            ggml.ggml_backend_tensor_set  # noqa: B018
        except (FileNotFoundError, AttributeError):
            continue
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        return TensorFunctions(
            name=_declared(ggml.ggml_get_name, [pointer], ctypes.c_char_p),
            rows=_declared(ggml.ggml_nrows, [pointer], ctypes.c_int64),
            size=_declared(ggml.ggml_nbytes, [pointer], size),
            read=_declared(ggml.ggml_backend_tensor_get, [pointer, pointer, size, size], None),
            write=_declared(ggml.ggml_backend_tensor_set, [pointer, pointer, size, size], None),
        )
    raise SteeringError(f"No library with ggml's tensor functions stands beside llama.cpp; install it anew: {INSTALL}")


@cache
def _silent(functions: Any) -> Any:
    """Takes llama.cpp's log; kept alive by the cache."""
    return functions.llama_log_callback(lambda _level, _text, _data: None)


def _declared(function: Any, arguments: list[Any], result: Any) -> Any:
    function.argtypes, function.restype = arguments, result
    return function
