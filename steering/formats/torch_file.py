"""`.pt` files of tensors: looked through before `torch.load` gets them, which reads them with `weights_only`.

Such a file is a zip archive of a pickle, which says what is in it, and of the tensors' numbers. `weights_only` keeps
the pickle from running code, but not from asking for any amount of memory or time: `bytearray(2**40)`, sparse tensors,
packed records. So what `torch.save` writes for dense float tensors in dicts, lists and tuples is let through, no more.
"""

import pickletools
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch
from torch import Tensor

from steering.errors import SteeringError, first_line

_GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in ("BFloat16", "Double", "Float", "Half")),
}
_TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_PUTS, _GETS = {"BINPUT", "LONG_BINPUT"}, {"BINGET", "LONG_BINGET"}
_OPCODES = (
    {"PROTO", "MARK", "STOP", "GLOBAL", "REDUCE", "BINPERSID"}
    | {"EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE"}
    | {"NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
    | _TUPLES
    | _PUTS
    | _GETS
)
_MAX_PICKLE = 1 << 16
"""Bytes. 200 tensors take 14 kB."""


def read_tensors(path: Path) -> Any:
    """What a `.pt` file holds: float tensors, numbers and text in plain containers.

    Raises SteeringError for a file of anything else.
    """
    try:
        _look_through(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile, pickletools and torch raise whatever a damaged file makes them raise
        raise SteeringError(
            f"Expected tensors in {str(path)!r}, found a file that holds other objects, or none of torch's "
            f"({first_line(error)[:100]}); other objects are never loaded: save the tensors alone, with "
            "torch.save({layer: tensor}, path)."
        ) from error


def read_tensor(path: Path) -> Tensor:
    """The one tensor of a `.pt` file. Raises SteeringError for files of something else."""
    tensor = read_tensors(path)
    if not isinstance(tensor, Tensor):
        raise SteeringError(f"Expected one tensor in {str(path)!r}, found {type(tensor).__name__!r}; check the file.")
    return tensor


def _look_through(path: Path) -> None:
    """Raise ValueError for what takes more memory or time than the file is long."""
    with ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != ZIP_STORED for member in members):
            raise ValueError("packed records")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("records that overlap")
        pickles = [member for member in members if member.filename.lower().endswith("data.pkl")]
        if len(pickles) != 1 or pickles[0].file_size > _MAX_PICKLE:
            raise ValueError(f"no data.pkl, or one of more than {_MAX_PICKLE} bytes")
        content = archive.read(pickles[0])
    shared_tuples: set[object] = set()
    written = ""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in _OPCODES or (opcode.name == "GLOBAL" and argument not in _GLOBALS):
            raise ValueError(f"{opcode.name} {str(argument)[:60]}")
        if opcode.name in _PUTS:
            (shared_tuples.add if written in _TUPLES else shared_tuples.discard)(argument)
        elif opcode.name in _GETS and argument in shared_tuples:
            raise ValueError("a tuple in several places")  # 50 tuples, each the next one twice, take years to hash
        else:
            written = opcode.name
