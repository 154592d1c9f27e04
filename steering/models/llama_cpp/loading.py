"""From a GGUF file to a LanguageModel that llama.cpp runs, tried out before it is handed on."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from steering.errors import SteeringError
from steering.models.gguf import converted_folder
from steering.models.identity import ModelIdentity
from steering.models.language_model import LanguageModel
from steering.models.llama_cpp.bindings import INSTALL, library
from steering.models.llama_cpp.context import BlockStates, Context, GgufModel, Room, Token
from steering.models.llama_cpp.module import LlamaCppModel, file_identity

TRIED_TOKENS = 4


def load_gguf(file: Path, room: Room | None = None, gpu_layers: int = 0) -> LanguageModel:
    """The model of a file as a `LanguageModel` whose blocks can be read and moved.

    Tokenizer, chat template and sizes are those that transformers reads from the same file.

    Args:
        file: the GGUF file.
        room: what the context is made for at first, and how it computes; it grows as it is asked for.
        gpu_layers: blocks that go to a GPU, -1 for all.

    Raises:
        SteeringError: for a file that transformers or llama.cpp can't read, and for a model whose blocks can't be
            moved.
    """
    if gpu_layers and not library().llama_supports_gpu_offload():
        raise SteeringError(
            "Expected a llama.cpp that was built for a GPU, found one for the CPU alone; leave out device_map, or "
            "build llama-cpp-python for your GPU."
        )
    model = GgufModel(file, gpu_layers)
    check_blocks(model)
    folder = converted_folder(file, None)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if (config.num_hidden_layers, config.hidden_size) != (model.n_layers, model.d_model):
        raise SteeringError(
            f"Expected {config.num_hidden_layers} layers of width {config.hidden_size} in {str(file)!r}, as "
            f"transformers reads it, found {model.n_layers} of {model.d_model} in llama.cpp; load it with the "
            "transformers engine."
        )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    known = generation_config.eos_token_id
    ends = model.end_tokens | {*(known if isinstance(known, list) else [] if known is None else [known])}
    generation_config.eos_token_id = sorted(ends) or None
    module = LlamaCppModel(config, generation_config, model, room or Room())
    return LanguageModel(module.train(False), tokenizer, str(file))


def gguf_identity(file: Path) -> ModelIdentity:
    """What a slider's origin is compared with where the file runs without our tokenizer."""
    return file_identity(AutoConfig.from_pretrained(converted_folder(file, None), local_files_only=True), str(file))


def check_blocks(model: GgufModel) -> None:
    """Try out on a few tokens that every block's output comes by, and that what is written there is read on.

    Raises:
        SteeringError: where it isn't so, as in graphs that don't name their blocks' outputs.
    """
    context = Context(model, Room(cells=256, batch=TRIED_TOKENS, sequences=1, outputs=TRIED_TOKENS, threads=1))
    every = range(TRIED_TOKENS)
    layers = range(model.n_layers)

    def run(move: float) -> tuple[dict[int, Tensor], "np.ndarray[tuple[int, int], np.dtype[np.float32]]"]:
        found: dict[int, Tensor] = {}

        def visit(layer: int, states: BlockStates) -> None:
            found[layer] = states.read(0, TRIED_TOKENS)
            states.write(0, found[layer] + move * found[layer].flip(-1))

        context.remove(0)
        return found, context.decode([Token(place, place, 0) for place in every], every, layers, visit)

    bare, logits = run(0.0)
    moved, others = run(0.5)
    flows = all(not torch.equal(bare[layer], moved[layer]) for layer in layers[1:])
    if list(bare) != list(layers) or not torch.equal(bare[0], moved[0]) or not flows or np.array_equal(logits, others):
        raise SteeringError(
            f"Expected what is written behind a block of {str(model.path)!r} to be read by the next, found that it "
            f"isn't; this model can't be steered in this build of llama.cpp: {INSTALL}"
        )
