"""llama.cpp and repeng: a GGUF control vector.

GGUF v3 with float32 tensors `direction.N`, (d_model,). llama.cpp adds `direction.N` to the output of block N on every
token, with a scale that is fixed when it starts; its loader wants N from 1 on, every tensor under such a name, and one
width, and reads no key. repeng asks for `controlvector.model_hint`. What else the file says is in keys of our own.

Source: `common/common.cpp` of llama.cpp, `ControlVector.import_gguf` of repeng.
"""

import json
from pathlib import Path

import gguf

from steering.errors import SteeringError
from steering.export.setting import Steering, as_setting, file_additions
from steering.files import replacing

ARCHITECTURE = "controlvector"
SETTING_KEY = "trimtab.setting"
MODEL_KEY = "trimtab.model"


def to_gguf(steering: Steering, path: str | Path) -> None:
    """Write the file, whole or not at all.

    Raises SteeringError for what a control vector can't say: anything but additions at blocks, and an addition at block
    0; and where nobody knows the model type.
    """
    consumer = "a GGUF control vector"
    additions = file_additions(steering, consumer)
    if 0 in additions:
        raise SteeringError(
            "A GGUF control vector can't reach the output of block 0, which this one moves; "
            f"leave it out if you can do without it: vector.select({[layer for layer in additions if layer]})."
        )
    setting = as_setting(steering)
    hint = setting.named_architecture(consumer)
    with replacing(path) as temporary:
        writer = gguf.GGUFWriter(temporary, ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", hint)
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(additions))
        writer.add_string(SETTING_KEY, json.dumps(setting.moved, sort_keys=True))
        if setting.model:
            writer.add_string(MODEL_KEY, setting.model.model_dump_json())
        for layer, push in additions.items():
            writer.add_tensor(f"direction.{layer}", push.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
