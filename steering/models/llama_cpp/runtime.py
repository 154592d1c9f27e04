"""One model in llama.cpp with the sequences that its callers hold: numbers are lent, room grows as it is asked for."""

import ctypes
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from steering.errors import SteeringError
from steering.models.llama_cpp.bindings import library
from steering.models.llama_cpp.context import Context, GgufModel, Room, Token, Visit

MOST_SEQUENCES = 256
"""llama.cpp's own limit (`LLAMA_MAX_SEQ`)."""


class Runtime:
    """A model and one context, which is made anew, with all that it holds, where it is too small.

    Args:
        model: the weights.
        room: what the context is made for at first.
    """

    def __init__(self, model: GgufModel, room: Room) -> None:
        self.model = model
        self._context = Context(model, room)
        self._lengths: dict[int, int] = {}
        """Tokens of every sequence that is lent."""

    def lend(self) -> int:
        """The number of an empty sequence; give it back with `give_back`.

        Raises:
            SteeringError: where all are lent.
        """
        number = next((free for free in range(MOST_SEQUENCES) if free not in self._lengths), None)
        if number is None:
            raise SteeringError(
                f"llama.cpp holds {MOST_SEQUENCES} rows at most, and all are in use; use smaller batches, or let go "
                "of caches that you keep."
            )
        if number >= self._context.room.sequences:
            self._grow(sequences=min(MOST_SEQUENCES, 2 * self._context.room.sequences))
        self._lengths[number] = 0
        return number

    def give_back(self, numbers: Sequence[int]) -> None:
        """Forget sequences; their numbers can be lent anew."""
        for number in numbers:
            self._context.remove(number)
            del self._lengths[number]

    def copy(self, source: int) -> int:
        """The number of a sequence that holds the same tokens as another; it takes no room of its own."""
        target = self.lend()
        self._context.copy(source, target)
        self._lengths[target] = self._lengths[source]
        return target

    def decode(
        self, tokens: Sequence[Token], outputs: Sequence[int], layers: Collection[int], visit: Visit, last: int | None
    ) -> Float[NDArray[np.float32], "outputs vocabulary"]:
        """What `Context.decode` does, with as much room as it takes."""
        needed = {
            "batch": len(tokens),
            "outputs": len(outputs),
            "cells": sum(self._lengths.values()) + len(tokens),
        }
        room = self._context.room
        if short := {name: size for name, size in needed.items() if size > getattr(room, name)}:
            self._grow(**{name: max(size, 2 * getattr(room, name)) for name, size in short.items()})
        logits = self._context.decode(tokens, outputs, layers, visit, last)
        for token in tokens:
            self._lengths[token.sequence] += 1
        return logits

    def _grow(self, **sizes: int) -> None:
        """Take a larger context, with the sequences of the former one."""
        room = replace(self._context.room, **sizes)  # type: ignore[arg-type]
        room = replace(room, outputs=max(room.outputs, room.sequences), cells=max(room.cells, room.batch))
        larger = Context(self.model, room)
        functions = library()
        for number, length in self._lengths.items():
            if not length:
                continue
            size = functions.llama_state_seq_get_size(self._context.pointer, number)
            state = (ctypes.c_uint8 * size)()
            functions.llama_state_seq_get_data(self._context.pointer, state, size, number)
            if not functions.llama_state_seq_set_data(larger.pointer, state, size, number):
                raise SteeringError(f"llama.cpp can't move its cache of {size} bytes to a larger one; ask for less.")
        self._context = larger
