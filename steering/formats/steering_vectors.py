"""Vectors of the steering-vectors library: read at decoder blocks' outputs and added there, the same layer here.

The library has no file format of its own; its objects are pickled, which is never loaded. Save their tensors there:
`torch.save({"layer_activations": vector.layer_activations, "layer_type": vector.layer_type}, "x.pt")`.
"""

from pathlib import Path

from steering.errors import SteeringError
from steering.formats.reader_helpers import existing, layer_numbers, vector_at
from steering.formats.torch_file import read_tensors
from steering.models.identity import ModelIdentity
from steering.vectors.steering_vector import SteeringVector


def from_steering_vectors(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """The vector in a `.pt` file of `{"layer_activations": {layer: tensor}, "layer_type": …}`, or of the inner dict.

    Raises SteeringError for a pickled object, and for vectors of another place than the decoder blocks.
    """
    path = existing(path)
    content = read_tensors(path)
    fields = content if isinstance(content, dict) else {}
    place = fields.get("layer_type", "decoder_block")
    if place != "decoder_block":
        raise SteeringError(
            f"Expected a vector of 'decoder_block' in {str(path)!r}, found {place!r}; only blocks' outputs are moved."
        )
    return vector_at(layer_numbers(fields.get("layer_activations", content), path), path, model)
