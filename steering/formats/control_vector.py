"""llama.cpp and repeng: a GGUF control vector.

GGUF v3 with float32 tensors `direction.N`, (d_model,). llama.cpp adds `direction.N` to the output of block N on every
token, with a scale that is fixed when it starts; its loader wants N from 1 on, every tensor under such a name, and one
width, and reads no key. repeng asks for `controlvector.model_hint`. What else the file says is in keys of our own.

Files of repeng, llama.cpp's generator, EasySteer, saklas and our own are read: `direction.N` was read (by repeng at
`hidden_states[N + 1]`) and is added at the output of block N, layer N here.

Sources: `common/common.cpp` of llama.cpp, `ControlVector.import_gguf` of repeng.
"""

import json
from pathlib import Path
from typing import Any

import gguf

from steering.atomic_write import atomic_write
from steering.errors import SteeringError, first_line
from steering.formats.fixed_sliders import Exportable, as_fixed, file_additions
from steering.formats.reader_helpers import existing, layer_numbers, vector_at
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
    try:
        reader: Any = gguf.GGUFReader(path)
        tensors = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).copy() for tensor in reader.tensors}
        keys = ("general.architecture", MODEL_KEY)
        architecture, own_model = (reader.fields[key].contents() if key in reader.fields else None for key in keys)
        if own_model and not model:
            model = ModelIdentity.model_validate_json(own_model)
    except Exception as error:  # the reader raises whatever a damaged file makes numpy raise
        raise SteeringError(
            f"{str(path)!r} is not a GGUF file that can be read ({first_line(error)}); get a fresh copy."
        ) from error
    if architecture != ARCHITECTURE:
        raise SteeringError(
            f"Expected a GGUF control vector in {str(path)!r}, found architecture {architecture!r}; check the path."
        )
    named = {name.removeprefix(PREFIX): data for name, data in tensors.items() if name.startswith(PREFIX)}
    return vector_at(layer_numbers(named, path), path, model)
