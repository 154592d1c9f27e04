"""A print of weights: nearly the same in every dtype that they are loaded in, another one after an edit.

Rounding a weight to another dtype never changes its sign and hardly its size. An edit, however small, turns the signs
of those weights that are near zero. So the print keeps a hash of many weights' signs, and a few sizes for what signs
can't show: a scaled matrix, or a norm, whose entries all have one sign.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

import numpy as np
import torch
from pydantic import BaseModel, field_validator
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

SIGNS_PER_TENSOR = 65536
"""Weights whose signs count, at least, where a tensor has so many: an edit by 0.1 % of its norm turns some twenty."""
ENTRIES_PER_VECTOR = 8
ROUNDING = 0.005
"""Relative difference of sizes that rounding explains: half a step of bfloat16 is 0.4 %."""
SMALLEST = 2.0**-23
"""Absolute difference that rounding explains: two steps of float16 near zero."""


class WeightsPrint(BaseModel, frozen=True, extra="forbid"):
    """What is recorded of weights."""

    signs: str
    """Hash of the signs of a sample of every tensor."""
    sizes: str
    """Float16 numbers in base64: the mean size in the sample of a matrix, some entries' sizes of a vector."""

    @field_validator("sizes")
    @classmethod
    def _check(cls, sizes: str) -> str:
        _numbers(sizes)
        return sizes

    def matches(self, other: "WeightsPrint") -> bool:
        """Whether both can be of the same weights, loaded in the same dtype or in others."""
        ours, theirs = _numbers(self.sizes), _numbers(other.sizes)
        near = len(ours) == len(theirs) and np.allclose(ours, theirs, ROUNDING, SMALLEST, equal_nan=True)
        return self.signs == other.signs and bool(near)

    def __str__(self) -> str:
        return hashlib.sha256(f"{self.signs} {self.sizes}".encode()).hexdigest()[:16]


def weights_print(places: Iterable[Iterable[Tensor]]) -> WeightsPrint | None:
    """The print of tensors, listed by the place in the model where they are; in a place their order is of no matter.

    None where weights are not in memory (offloaded).
    """
    signs: list[list[str]] = []
    sizes: list[float] = []
    for tensors in places:
        plain = [part for tensor in tensors for part in _plain_parts(tensor)]
        if any(tensor.is_meta for tensor in plain):
            return None
        read = sorted(map(_signs_and_sizes, plain), key=itemgetter(0))
        signs.append([hashed for hashed, _ in read])
        for _, alike in groupby(read, key=itemgetter(0)):  # norms, mostly: rounding can swap those of nearly one size
            sizes += sorted(size for _, several in alike for size in several)
    with np.errstate(over="ignore"):
        packed = np.array(sizes, "<f2").tobytes()
    return WeightsPrint(
        signs=hashlib.sha256(str(signs).encode()).hexdigest()[:16],
        sizes=b64encode(packed).decode(),
    )


def own_tensors(module: nn.Module, seen: set[int]) -> Iterator[Tensor]:
    """The weights of a module that are not yet seen, and packed ones in integer buffers; no other buffers.

    In what PEFT or TransformerLens put around a module, only that module's own count: the rest are an adapter's, or
    copies.
    """
    integers = [buffer for buffer in module.buffers(recurse=False) if _is_integer(buffer)]
    for tensor in [*module.parameters(recurse=False), *integers]:
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield tensor
    wrapped = [inner for name in _WRAPPED if isinstance(inner := getattr(module, name, None), nn.Module)]
    for child in wrapped or module.children():
        yield from own_tensors(child, seen)


_WRAPPED = ("base_layer", "original_module", "_original_component")
"""Where PEFT's layers and modules, and TransformerLens' components, keep what they wrap."""


def is_packed(tensor: Tensor) -> bool:
    """Whether a weight is held in a quantizer's own form."""
    held_in_parts = hasattr(tensor, "__tensor_flatten__") and not isinstance(tensor, DTensor)
    return held_in_parts or _is_integer(tensor) or tensor.itemsize == 1


def _is_integer(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool


def _plain_parts(tensor: Tensor) -> Iterator[Tensor]:
    """A tensor itself; all of one that several processes hold; what a quantizer's tensor is made of."""
    if isinstance(tensor, DTensor):
        yield tensor.full_tensor()
    elif hasattr(tensor, "__tensor_flatten__"):
        names, _ = tensor.__tensor_flatten__()
        for name in names:
            yield from _plain_parts(getattr(tensor, name))
    else:
        yield tensor.detach()


def _signs_and_sizes(tensor: Tensor) -> tuple[str, list[float]]:
    """A hash of the signs of a sample, or of the sample itself where it is packed, and its sizes."""
    flat = tensor.reshape(-1)
    step = max(1, flat.numel() // SIGNS_PER_TENSOR) | 1  # odd, so that it goes through all columns of a matrix
    sample = flat[::step].cpu()
    if is_packed(tensor):
        return hashlib.sha256(sample.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest(), []
    signs = np.packbits(sample.signbit().numpy()).tobytes()
    sizes = sample.double().abs()
    shown = sizes[:: max(1, len(sizes) // ENTRIES_PER_VECTOR)] if tensor.ndim < 2 else sizes.mean().reshape(1)
    return hashlib.sha256(signs).hexdigest(), shown.tolist()


def _numbers(sizes: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.frombuffer(b64decode(sizes, validate=True), "<f2").astype(np.float64)
