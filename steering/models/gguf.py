"""GGUF weights, dequantized once and kept as a safetensors folder that loads in a second."""

import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from platformdirs import user_cache_path
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from steering.errors import SteeringError, first_line

_LAYOUT = 3
"""Raised when what is written into a cached folder changes, so that older folders are not read."""


def cache_folder() -> Path:
    """`TRIMTAB_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("TRIMTAB_CACHE") or user_cache_path("trimtab"))


def dequantized_folder(file: Path, dtype: torch.dtype = torch.float32) -> Path:
    """A local folder in transformers' layout with the model and tokenizer of a GGUF file.

    The folder is keyed by the file's content and the dtype; it is renamed into place when complete, so a killed
    conversion leaves nothing that a later one would read. Raises SteeringError for a file that can't be converted.
    """
    with file.open("rb") as stream:
        magic = stream.read(4)
    if magic != b"GGUF":
        raise SteeringError(f"Expected a GGUF file, found {str(file)!r} that begins with {magic!r}; check the path.")
    folder = cache_folder() / "gguf" / f"{_content_hash(file)}-{str(dtype).removeprefix('torch.')}-{_LAYOUT}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".converting-", dir=folder.parent, ignore_cleanup_errors=True) as temporary:
        _convert(file, dtype, Path(temporary))
        try:
            os.rename(temporary, folder)
        except OSError:
            if not folder.is_dir():  # another process may have finished the same conversion first
                raise
    return folder


def _content_hash(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:32]


def _convert(file: Path, dtype: torch.dtype, folder: Path) -> None:
    source: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), **source)
        model = AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=dtype, **source)
    except Exception as error:  # transformers raises whatever the file makes its parsers raise
        raise SteeringError(
            f"transformers can't convert the GGUF file {str(file)!r}: {first_line(error)}; try another file."
        ) from error
    # A GGUF model refuses save_pretrained: write its parts, and that the quantization is undone.
    del model.config.quantization_config
    model.config.dequantized_from = "gguf"
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    if model.generation_config is not None:
        model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_file(_weights(model), folder / "model.safetensors", metadata={"format": "pt"})


def _weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The model's tensors, those that share memory once: as the embedding, which is where other tools look for it."""
    embedding = next(model.get_input_embeddings().parameters())
    own = next(name for name, parameter in model.named_parameters() if parameter is embedding)
    weights = {own: embedding.detach().contiguous()}
    for name, tensor in model.state_dict().items():
        if all(tensor.data_ptr() != other.data_ptr() for other in weights.values()):
            weights[name] = tensor.contiguous()
    return weights
