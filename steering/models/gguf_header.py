"""What a GGUF file says of itself, read before anything that it asks for is done.

A header's counts, lengths and offsets are any 64-bit numbers; other readers believe them. Here each is held against the
file's own length first. Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeAlias

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from steering.errors import SteeringError, first_line

Value: TypeAlias = int | float | bool | str

_FORMS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
"""Types of numbers, and their form in `struct`."""
_TEXT, _LIST = 8, 9
_MAX_DIMENSIONS = 4


@dataclass(frozen=True)
class GGUFTensor:
    """Where a tensor lies in the file, and how it is packed."""

    shape: tuple[int, ...]
    """The number that runs fastest first."""
    kind: GGMLQuantizationType
    start: int
    """In bytes from the file's beginning."""
    size: int
    """In bytes."""


@dataclass(frozen=True)
class GGUFHeader:
    """The keys of a GGUF file that aren't lists, and its tensors, all of which lie inside the file."""

    values: Mapping[str, Value]
    tensors: Mapping[str, GGUFTensor]

    @staticmethod
    def read(file: Path) -> "GGUFHeader":
        """Read the header; the tensors' numbers stay where they are.

        Args:
            file: a GGUF file of version 2 or 3.

        Raises:
            SteeringError: for a file that isn't one, or that declares more than it holds.
        """
        try:
            with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _header(_Cursor(content))
        except (OSError, ValueError, struct.error) as error:
            raise SteeringError(
                f"{str(file)!r} is not a GGUF file that can be read ({first_line(error)}); get a fresh copy."
            ) from error


class _Cursor:
    """A place in the file, moved by what is read there."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.place = content, 0

    def skip(self, length: int, what: str) -> int:
        """Go on by a length; the place before."""
        before, self.place = self.place, self.place + length
        if self.place > len(self.content):
            raise ValueError(f"it ends at {len(self.content)} bytes, within {what} of {length}")
        return before

    def number(self, form: str) -> int:
        start = self.skip(struct.calcsize(f"<{form}"), "a number")
        found: int = struct.unpack_from(f"<{form}", self.content, start)[0]
        return found

    def text(self) -> str:
        length = self.number("Q")
        start = self.skip(length, "a text")
        return self.content[start : start + length].decode()

    def value(self) -> Value | None:
        """The value of a key; None for a list, which is passed over."""
        kind = self.number("I")
        if kind in _FORMS:
            return self.number(_FORMS[kind])
        if kind == _TEXT:
            return self.text()
        if kind != _LIST:
            raise ValueError(f"a key of the unknown type {kind}")
        kind, count = self.number("I"), self.number("Q")
        if kind in _FORMS:
            self.skip(count * struct.calcsize(f"<{_FORMS[kind]}"), "a list")
        elif kind == _TEXT:
            for _ in range(count):  # ends with the file: every text takes its length's bytes
                self.skip(self.number("Q"), "a text")
        else:
            raise ValueError(f"a list of the unknown type {kind}")
        return None


def _header(cursor: _Cursor) -> GGUFHeader:
    if (magic := cursor.content[:4]) != b"GGUF":
        raise ValueError(f"it begins with {magic!r}")
    cursor.skip(len(magic), "the beginning")
    if (version := cursor.number("I")) not in (2, 3):
        raise ValueError(f"version {version} of the format, expected 2 or 3")
    tensor_count, key_count = cursor.number("Q"), cursor.number("Q")
    values: dict[str, Value | None] = {}
    for _ in range(key_count):  # these end with the file too
        key = cursor.text()
        if key in values:
            raise ValueError(f"the key {key[:80]!r} stands there twice")
        values[key] = cursor.value()
    places: dict[str, tuple[tuple[int, ...], int, int]] = {}
    for _ in range(tensor_count):
        name, dimensions = cursor.text(), cursor.number("I")
        if name in places or dimensions > _MAX_DIMENSIONS:
            raise ValueError(f"the tensor {name[:80]!r} stands there twice, or has {dimensions} dimensions")
        places[name] = tuple(cursor.number("Q") for _ in range(dimensions)), cursor.number("I"), cursor.number("Q")
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= mmap.PAGESIZE:
        raise ValueError(f"an alignment of {alignment!r}")
    beginning = -(-cursor.place // alignment) * alignment
    length = len(cursor.content)
    tensors = {name: _tensor(name, *place, beginning, length) for name, place in places.items()}
    if sum(tensor.size for tensor in tensors.values()) > length:
        raise ValueError("tensors that overlap")
    return GGUFHeader({key: value for key, value in values.items() if value is not None}, tensors)


def _tensor(name: str, shape: tuple[int, ...], kind: int, offset: int, beginning: int, length: int) -> GGUFTensor:
    packing = GGMLQuantizationType(kind)
    block, block_bytes = GGML_QUANT_SIZES[packing]
    numbers, start = prod(shape), beginning + offset
    size = numbers // block * block_bytes
    if numbers % block or start + size > length:
        raise ValueError(f"the tensor {name[:80]!r} of shape {shape} doesn't end within the file's {length} bytes")
    return GGUFTensor(shape, packing, start, size)
