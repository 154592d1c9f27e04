"""GGUF files, read once and kept as a folder in transformers' layout that loads in a second."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from platformdirs import user_cache_path
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel

from steering.atomic_write import make_folder, new_folder
from steering.errors import SteeringError, first_line
from steering.json_reading import read_json
from steering.models.checkpoints import check_complete
from steering.models.gguf_header import GGUFHeader
from steering.models.identity import GGUF_TENSORS

_LAYOUT = 5
"""Raised when what is written into a cached folder changes, so that older folders are not read."""
_FILES = "files.json"
"""Names and sizes of all other files in a cached folder: one from which something was cut or taken is made anew."""


def cache_folder() -> Path:
    """`TRIMTAB_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("TRIMTAB_CACHE") or user_cache_path("trimtab"))


@contextmanager
def naming_cache() -> Iterator[None]:
    """Errors about what can't be written say how another cache folder is named."""
    try:
        yield
    except SteeringError as error:
        raise SteeringError(f"{error} That is Trimtab's cache; name another folder in TRIMTAB_CACHE.") from error


def converted_folder(file: Path, dtype: torch.dtype | None = torch.float32) -> Path:
    """A local folder in transformers' layout with a GGUF file's configuration, tokenizer and weights.

    The folder is keyed by the file's content and the dtype; it is renamed into place when complete, so a killed
    conversion leaves nothing that a later one would read. A folder that is no longer whole is made anew.

    Args:
        file: the GGUF file.
        dtype: of the dequantized weights; None leaves them out.

    Raises:
        SteeringError: for a file that can't be converted.
    """
    header = GGUFHeader.read(file)
    if dtype is not None:  # else nothing is built, and the blocks may be in other files, which llama.cpp joins
        _check_sizes(header, file)
    kind = "no-weights" if dtype is None else str(dtype).removeprefix("torch.")
    folder = cache_folder() / "gguf" / f"{_content_hash(file)}-{kind}-{_LAYOUT}"
    if _is_whole(folder):
        return folder
    with naming_cache():
        make_folder(folder.parent)
    with TemporaryDirectory() as alone:
        link = Path(alone, file.name)
        link.symlink_to(file.resolve())  # a tokenizer.json beside the file is another model's
        try:
            _convert(link, dtype, folder, header)
        except SteeringError:
            if not _is_whole(folder):  # another process may have finished the same conversion first
                raise
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        return bool(read_json(folder / _FILES) == _sizes(folder))
    except SteeringError:
        return False


def _sizes(folder: Path) -> dict[str, int]:
    """In bytes, of every file but the list itself."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != _FILES)
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}


def _check_sizes(header: GGUFHeader, file: Path) -> None:
    """Raise SteeringError for a model of other blocks than its tensors', or of another width than its embeddings'.

    transformers makes what the keys say, and fills with random numbers what no tensor is for.
    """
    architecture = header.values.get("general.architecture")
    blocks, width = (header.values.get(f"{architecture}.{key}") for key in ("block_count", "embedding_length"))
    found = {name.split(".")[1] for name in header.tensors if name.startswith("blk.")}
    if not found or blocks != len(found):
        raise SteeringError(
            f"Expected a language model in {str(file)!r}, with tensors of as many blocks as its keys say, found "
            f"architecture {architecture!r:.80} of {blocks!r} blocks, and tensors of {len(found)}; get a fresh copy."
        )
    embeddings = header.tensors.get("token_embd.weight")
    if embeddings is None or embeddings.shape[:1] != (width,):
        shape = embeddings and embeddings.shape
        raise SteeringError(
            f"Expected embeddings of width {width!r} in {str(file)!r}, as its keys say, found shape {shape}; "
            "get a fresh copy."
        )


def _content_hash(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:32]


def _convert(file: Path, dtype: torch.dtype | None, folder: Path, header: GGUFHeader) -> None:
    source: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    weights: dict[str, torch.Tensor] = {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), **source)
        if dtype is None:
            config = AutoConfig.from_pretrained(str(file.parent), **source)
            generation_config = GenerationConfig.from_model_config(config)
        else:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                str(file.parent), dtype=dtype, output_loading_info=True, **source
            )
            model, found = loaded
            check_complete(found, file.name)
            config, generation_config, weights = model.config, model.generation_config, _weights(model)
            del config.quantization_config  # the folder's weights are no longer packed
            config.architectures = [type(model).__name__]
        tensors = _tensors_fingerprint(file, header)
    except SteeringError:
        raise
    except Exception as error:  # transformers raises whatever the file makes its parsers raise
        raise SteeringError(
            f"transformers can't convert the GGUF file {file.name!r}: {first_line(error)}; try another file."
        ) from error
    config.dequantized_from = "gguf"
    setattr(config, GGUF_TENSORS, tensors)
    if folder.is_dir() and not _is_whole(folder):
        shutil.rmtree(folder)
    with naming_cache(), new_folder(folder) as made:
        config.save_pretrained(made)
        if generation_config is not None:
            generation_config.save_pretrained(made)
        tokenizer.save_pretrained(made)
        if weights:
            save_file(weights, made / "model.safetensors", metadata={"format": "pt"})
        (made / _FILES).write_text(json.dumps(_sizes(made)), encoding="utf-8")


def _tensors_fingerprint(file: Path, header: GGUFHeader) -> str:
    """SHA-256 of all tensors as they lie in the file, with names, types and shapes, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for name, tensor in sorted(header.tensors.items()):
            digest.update(f"{name} {tensor.kind.name} {list(tensor.shape)}".encode())
            stream.seek(tensor.start)
            digest.update(stream.read(tensor.size))
    return digest.hexdigest()[:16]


def _weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The model's tensors, those that share memory once: as the embedding, which is where other tools look for it."""
    embedding = next(model.get_input_embeddings().parameters())
    own = next(name for name, parameter in model.named_parameters() if parameter is embedding)
    weights = {own: embedding.detach().contiguous()}
    for name, tensor in model.state_dict().items():
        if all(tensor.data_ptr() != other.data_ptr() for other in weights.values()):
            weights[name] = tensor.contiguous()
    return weights
