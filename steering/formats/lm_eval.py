"""lm-evaluation-harness: the `.pt` file of its model `steered`.

`{"layers.12": {"steering_vector": (d_model,), "steering_coefficient": 1.0, "action": "add", …}}`: the vector is added
to what the named module under `model.base_model` returns, on every token, padding too.

Source: `lm_eval/models/hf_steered.py`.
"""

from io import BytesIO
from pathlib import Path

import torch

from steering.atomic_write import atomic_write
from steering.formats.fixed_sliders import Exportable, as_fixed, file_additions

BLOCKS = {"gpt2": "h", "gptj": "h", "bloom": "h", "falcon": "h", "opt": "decoder.layers", "mpt": "blocks"}
"""Where families keep their blocks under `model.base_model`, if not at `layers`."""


def to_lm_eval(exportable: Exportable, path: str | Path, blocks: str | None = None) -> None:
    """Write the file, whole or not at all: for `--model steered --model_args pretrained=…,steer_path=x.pt`.

    `blocks` is the dotted path of the decoder blocks under `model.base_model`, where the family isn't known; the
    harness says so when no module has the name. Raises SteeringError for anything but additions at blocks, which
    Trimtab's own model there takes.
    """
    consumer = "lm-evaluation-harness's model 'steered' (python -m probes.lm_eval --model trimtab takes any slider)"
    additions = file_additions(exportable, consumer)
    prefix = blocks or BLOCKS.get(as_fixed(exportable).architecture or "", "layers")
    plain = {"steering_coefficient": 1.0, "action": "add", "bias": None, "head_index": None}
    content = {f"{prefix}.{layer}": {"steering_vector": push, **plain} for layer, push in additions.items()}
    stream = BytesIO()
    torch.save(content, stream)
    with atomic_write(path) as temporary:
        temporary.write_bytes(stream.getvalue())
