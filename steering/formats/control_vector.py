"""llama.cpp and repeng: a GGUF control vector.

GGUF v3 with float32 tensors `direction.N`, (d_model,). llama.cpp adds `direction.N` to the output of block N on every
token, with a scale that is fixed when it starts; its loader wants N from 1 on, every tensor under such a name, and one
width, and reads no key. repeng asks for `controlvector.model_hint`. What else the file says is in keys of our own.

Files of repeng, llama.cpp's generator, EasySteer, saklas and our own are read: `direction.N` was read (by repeng at
`hidden_states[N + 1]`) and is added at the output of block N, layer N here.

Sources: `common/common.cpp` of llama.cpp, `ControlVector.import_gguf` of repeng.
"""

import json
from math import prod
from pathlib import Path
from typing import BinaryIO

import gguf
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from steering.atomic_write import atomic_write
from steering.data.chats import first_problem
from steering.errors import SteeringError
from steering.formats.fixed_sliders import Exportable, as_fixed, file_additions
from steering.formats.reader_helpers import MAX_WIDTH, existing, layer_numbers, vector_at
from steering.models.gguf_header import GGUFHeader, GGUFTensor
from steering.models.identity import ModelIdentity
from steering.vectors.steering_vector import SteeringVector

ARCHITECTURE = "controlvector"
SETTING_KEY = "trimtab.setting"
MODEL_KEY = "trimtab.model"
PREFIX = "direction."


def to_gguf(exportable: Exportable, path: str | Path) -> None:
    """Write the file, whole or not at all.

    Raises SteeringError for what a control vector can't say: anything but additions at blocks, and an addition at block
    0; and where nobody knows the model type.
    """
    consumer = "a GGUF control vector"
    additions = file_additions(exportable, consumer)
    if 0 in additions:
        raise SteeringError(
            "A GGUF control vector can't reach the output of block 0, which this one moves; "
            f"leave it out if you can do without it: vector.select({[layer for layer in additions if layer]})."
        )
    fixed = as_fixed(exportable)
    hint = fixed.named_architecture(consumer)
    with atomic_write(path) as temporary:
        writer = gguf.GGUFWriter(temporary, ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", hint)
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(additions))
        writer.add_string(SETTING_KEY, json.dumps(fixed.moved, sort_keys=True))
        if fixed.model:
            writer.add_string(MODEL_KEY, fixed.model.model_dump_json())
        for layer, push in additions.items():
            writer.add_tensor(f"{PREFIX}{layer}", push.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def from_gguf(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """The vector in a GGUF file; slider 1 adds what the tool adds at scale 1.

    `model` is recorded as the one that it belongs to; a file of ours says it itself. Raises SteeringError for a file
    that isn't a control vector.
    """
    path = existing(path)
    header = GGUFHeader.read(path)
    if (architecture := header.values.get("general.architecture")) != ARCHITECTURE:
        raise SteeringError(
            f"Expected a GGUF control vector in {str(path)!r}, found architecture {architecture!r:.80}; check the path."
        )
    tensors = {name.removeprefix(PREFIX): each for name, each in header.tensors.items() if name.startswith(PREFIX)}
    with path.open("rb") as stream:
        directions = {layer: _values(stream, each, path) for layer, each in layer_numbers(tensors, path).items()}
    own_model = header.values.get(MODEL_KEY)
    if isinstance(own_model, str) and not model:
        try:
            model = ModelIdentity.model_validate_json(own_model)
        except ValidationError as error:
            problem = f"has damaged metadata ({first_problem(error)})"
            raise SteeringError(f"{str(path)!r} {problem}; get a fresh copy.") from error
    return vector_at(directions, path, model)


def _values(stream: BinaryIO, tensor: GGUFTensor, path: Path) -> NDArray[np.float32]:
    """A direction's numbers, (d_model,). Raises SteeringError for more than a model's width, and for integers."""
    if prod(tensor.shape) > MAX_WIDTH:
        raise SteeringError(
            f"Expected directions of at most {MAX_WIDTH} numbers in {str(path)!r}, found shape {tensor.shape}."
        )
    stream.seek(tensor.start)
    packed = np.frombuffer(stream.read(tensor.size), np.uint8)
    try:
        values: NDArray[np.float32] = gguf.dequantize(packed, tensor.kind)
    except NotImplementedError as error:
        raise SteeringError(
            f"Expected directions of floats in {str(path)!r}, found {tensor.kind.name}; save them as float32."
        ) from error
    return values.reshape(tensor.shape[::-1]).astype(np.float32)
