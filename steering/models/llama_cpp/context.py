"""A GGUF model in llama.cpp, and a context in which batches of tokens run past whoever reads or moves its blocks."""

import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steering.errors import SteeringError
from steering.models.gguf_header import GGUFHeader
from steering.models.llama_cpp.bindings import library, tensor_functions
from steering.models.llama_cpp.block_watch import BlockWatch

_BYTES = 4
"""Of a float32, which the residual stream is in for all weights."""
_NO_ROOM = 1
"""What `llama_decode` returns where no place in the cache is free."""


class GgufModel:
    """Weights that llama.cpp has loaded; they are let go with the object.

    Args:
        path: the GGUF file.
        gpu_layers: blocks that go to a GPU, -1 for all; none unless llama.cpp was built for one.

    Raises:
        SteeringError: for a file that llama.cpp can't load, or a model without a cache of keys and values.
    """

    def __init__(self, path: Path, gpu_layers: int = 0) -> None:
        GGUFHeader.read(path)  # before llama.cpp reads it, which takes the process with it where it stumbles
        functions = library()
        parameters = functions.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        self.path = path
        self.pointer = functions.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.pointer:
            raise SteeringError(
                f"llama.cpp can't load {str(path)!r}; expected a whole GGUF file of an architecture that it knows."
            )
        weakref.finalize(self, functions.llama_model_free, self.pointer)
        if functions.llama_model_is_recurrent(self.pointer) or functions.llama_model_is_hybrid(self.pointer):
            raise SteeringError(
                f"Expected a model whose state is keys and values, found a recurrent one in {str(path)!r}; load it "
                "with the transformers engine."
            )
        if functions.llama_model_has_encoder(self.pointer) or not functions.llama_model_has_decoder(self.pointer):
            raise SteeringError(f"Expected a decoder-only language model in {str(path)!r}, found one with an encoder.")
        self.n_layers = int(functions.llama_model_n_layer(self.pointer))
        self.d_model = int(functions.llama_model_n_embd(self.pointer))
        vocabulary = functions.llama_model_get_vocab(self.pointer)
        self.n_vocabulary = int(functions.llama_vocab_n_tokens(vocabulary))
        ends = {functions.llama_vocab_eos(vocabulary), functions.llama_vocab_eot(vocabulary)}
        self.end_tokens = frozenset(int(token) for token in ends if token >= 0)
        """Tokens that end a text or a turn, as the file says or llama.cpp finds out by their names."""


@dataclass(frozen=True)
class Room:
    """What a context has room for, and how it computes."""

    cells: int = 2048
    """Tokens in the cache, of all sequences together."""
    batch: int = 512
    """Tokens in one pass."""
    sequences: int = 64
    """Numbers that sequences can have, from 0; llama.cpp's limit is 256."""
    outputs: int = 64
    """Tokens of a pass whose logits are wanted: as many as sequences at least, which llama.cpp asks for."""
    threads: int = 0
    """0 for as many as PyTorch uses."""
    exact: bool = False
    """Keys and values in float32 and no flash attention: as PyTorch computes, and slower."""


@dataclass(frozen=True)
class Token:
    """One token of a batch: its id, its place in a sequence, and the sequence's number."""

    id: int
    position: int
    sequence: int


class BlockStates:
    """What one block has put out for a pass, read and written where it lies."""

    def __init__(self, node: int, rows: Sequence[int], width: int) -> None:
        self._node, self._width, self.rows = node, width, rows
        """Places in the batch whose states there are: all, but behind the last block."""
        found = int(tensor_functions().rows(node)), int(tensor_functions().size(node))
        if found != (len(rows), len(rows) * width * _BYTES):
            raise SteeringError(
                f"Expected the states of {len(rows)} tokens of width {width} in float32 behind a block, found "
                f"{found[0]} in {found[1]} bytes; this model can't be steered in this build of llama.cpp."
            )

    def read(self, start: int, stop: int) -> Float[Tensor, "rows d_model"]:
        """A copy of some of the states.

        Args:
            start: the first, as `rows` counts them.
            stop: one past the last.
        """
        states = torch.empty(stop - start, self._width)
        row = self._width * _BYTES
        tensor_functions().read(self._node, states.data_ptr(), start * row, len(states) * row)
        return states

    def write(self, start: int, states: Float[Tensor, "rows d_model"]) -> None:
        """Put states in the place of those from `start` on."""
        states = states.to("cpu", torch.float32).contiguous()
        row = self._width * _BYTES
        tensor_functions().write(self._node, states.data_ptr(), start * row, len(states) * row)


Visit = Callable[[int, BlockStates], None]
"""Called with a block's index and what it has put out."""


class Context:
    """The cache of one model's sequences, and passes that go on from there. One thread at a time may use it.

    Args:
        model: the weights.
        room: what it is to hold.
        watched: whether blocks can be visited; without, it is llama.cpp as it is.

    Raises:
        SteeringError: where llama.cpp can't make it, mostly for want of memory.
    """

    def __init__(self, model: GgufModel, room: Room, watched: bool = True) -> None:
        functions = library()
        self.model, self.room = model, room
        self._watch = BlockWatch() if watched else None
        parameters = functions.llama_context_default_params()
        parameters.n_ctx = room.cells
        parameters.n_batch = parameters.n_ubatch = room.batch  # a batch is one graph: its rows keep their order
        parameters.n_outputs_max = room.outputs
        parameters.n_seq_max, parameters.kv_unified = room.sequences, True
        parameters.n_threads = parameters.n_threads_batch = room.threads or torch.get_num_threads()
        if room.exact:
            parameters.type_k = parameters.type_v = 0
            parameters.flash_attn_type = 0
        if self._watch is not None:
            parameters.cb_eval = self._watch.callback
        self.pointer = functions.llama_init_from_model(model.pointer, parameters)
        if not self.pointer:
            raise SteeringError(
                f"llama.cpp can't make room for {room.cells} tokens at {room.batch} a pass; ask for less."
            )
        self.memory = functions.llama_get_memory(self.pointer)
        self._batch = functions.llama_batch_init(room.batch, 0, 1)
        weakref.finalize(self, functions.llama_batch_free, self._batch)
        weakref.finalize(self, functions.llama_free, self.pointer)

    def decode(
        self,
        tokens: Sequence[Token],
        outputs: Sequence[int] = (),
        layers: Collection[int] = (),
        visit: Visit | None = None,
        last: int | None = None,
    ) -> Float[np.ndarray, "outputs vocabulary"]:
        """Run tokens through the model, and add their keys and values to the cache.

        Where the pass fails, or a visit raises, the cache is as it was before.

        Args:
            tokens: at most `room.batch`; each sequence's in order, behind what it holds.
            outputs: places among the tokens whose logits are wanted, ascending.
            layers: blocks that are to be visited.
            visit: reads and moves what they have put out.
            last: one of these blocks behind which the pass ends: there are no logits then, and nothing in the cache
                for the blocks above.

        Returns:
            The logits behind those tokens, a copy.

        Raises:
            SteeringError: where the cache has no room left, and what a visit raises.
        """
        functions = library()
        self._fill(tokens, outputs)
        if self._watch is not None:
            every, some = range(len(tokens)), list(outputs)

            def visited(layer: int, node: int) -> bool:
                assert visit is not None
                is_last = layer == self.model.n_layers - 1  # which computes those rows only whose logits are wanted
                visit(layer, BlockStates(node, some if is_last else every, self.model.d_model))
                return layer != last

            self._watch.begin(frozenset(layers), (len(tokens), len(some)), visited)
        try:
            code = functions.llama_decode(self.pointer, self._batch)
            if self._watch is not None:
                self._watch.end(ran=code == 0)
            if code:
                raise self._failure(code)
        except BaseException:
            self._forget(tokens)
            raise
        width = (self.model.n_vocabulary,)
        wanted = [] if last is not None else outputs
        rows = [np.ctypeslib.as_array(functions.llama_get_logits_ith(self.pointer, place), width) for place in wanted]
        return np.stack(rows) if rows else np.empty((0, *width), np.float32)

    def remove(self, sequence: int, start: int = 0) -> None:
        """Forget a sequence's tokens from a position on."""
        library().llama_memory_seq_rm(self.memory, sequence, start, -1)

    def copy(self, source: int, target: int) -> None:
        """Let another, empty sequence hold the same tokens; it takes no room of its own."""
        library().llama_memory_seq_cp(self.memory, source, target, -1, -1)

    def _fill(self, tokens: Sequence[Token], outputs: Sequence[int]) -> None:
        if not 0 < len(tokens) <= self.room.batch or len(outputs) > self.room.outputs:
            raise SteeringError(
                f"Expected up to {self.room.batch} tokens a pass and the logits of {self.room.outputs}, found "
                f"{len(tokens)} and {len(outputs)}; ask for more room."
            )
        batch: Any = self._batch
        batch.n_tokens = len(tokens)
        wanted = set(outputs)
        for place, token in enumerate(tokens):
            batch.token[place], batch.pos[place] = token.id, token.position
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, token.sequence
            batch.logits[place] = place in wanted

    def _forget(self, tokens: Sequence[Token]) -> None:
        begun: dict[int, int] = {}
        for token in tokens:
            begun[token.sequence] = min(token.position, begun.get(token.sequence, token.position))
        for sequence, start in begun.items():
            self.remove(sequence, start)

    def _failure(self, code: int) -> SteeringError:
        if code == _NO_ROOM:
            return SteeringError(f"The cache of {self.room.cells} tokens is full; ask for more room, or for less text.")
        return SteeringError(f"llama.cpp could not run the tokens (llama_decode returned {code}).")
