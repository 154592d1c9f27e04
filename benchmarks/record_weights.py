"""Writes the prints of a model's weights into a folder of sliders as `save_pretrained` makes it; all else stays.

    python benchmarks/record_weights.py smollm2-135m-instruct vectors/smollm2-135m-instruct

Files written before every tensor counted record two matrices only. They have to match the model by that record.
"""

import sys
from pathlib import Path

from steering import Slider, load
from steering.formats.hub import CONFIG, HubConfig
from steering.models.identity import ModelIdentity
from steering.vectors.file_format import VectorRecord, read_file, write_file

PRINTS = ("weights", "gguf", "former_weights", "quantization", "adapters")


def renewed(recorded: ModelIdentity, present: ModelIdentity) -> ModelIdentity:
    """What is recorded, with the prints of the present model."""
    return recorded.model_copy(update={name: getattr(present, name) for name in PRINTS})


def renewed_vector(vector: VectorRecord, present: ModelIdentity) -> VectorRecord:
    """The vector's record with the prints of the present model."""
    if vector.origin is None:
        return vector
    model = renewed(vector.origin.model, present)
    return vector.model_copy(update={"origin": vector.origin.model_copy(update={"model": model})})


if __name__ == "__main__":
    lm, folder = load(sys.argv[1]), Path(sys.argv[2])
    config = HubConfig.model_validate_json((folder / CONFIG).read_bytes())
    for axis in config.axes:
        path = folder / f"{axis}.safetensors"
        Slider.load(path, lm)
        record, tensors = read_file(path)
        vectors = tuple(renewed_vector(vector, lm.identity) for vector in record.vectors)
        write_file(path, record.model_copy(update={"vectors": vectors}), tensors)
    if config.model:
        config = config.model_copy(update={"model": renewed(config.model, lm.identity)})
        (folder / CONFIG).write_text(f"{config.model_dump_json(indent=2)}\n", encoding="utf-8")
