"""`direction.pt` of the refusal_direction repository (arXiv 2406.11717), with `direction_metadata.json` beside it.

The repository reads and adds at the **input** of block L; that is the output of block L - 1, layer L - 1 here.
"""

from pathlib import Path

from steering.errors import SteeringError
from steering.formats.reader_helpers import existing, vector_at
from steering.formats.torch_file import read_tensor
from steering.json_reading import read_json
from steering.models.identity import ModelIdentity
from steering.vectors.steering_vector import SteeringVector


def from_refusal_direction(path: str | Path, model: ModelIdentity | None = None) -> SteeringVector:
    """The vector as the repository adds it (`actadd`); for ablation, spread it over all blocks.

    `path` is `direction.pt`, or the folder of a run. Raises SteeringError when the metadata is missing, and for layer
    0, whose direction lies in the embeddings, before the first block.
    """
    path = Path(path)
    file = existing(path / "direction.pt" if path.is_dir() else path)
    metadata = read_json(file.with_name("direction_metadata.json"))
    layer = metadata.get("layer") if isinstance(metadata, dict) else None
    if type(layer) is not int or layer < 1:  # true is no number
        raise SteeringError(
            f"Expected a layer from 1 on in the metadata of {str(file)!r}, found {layer!r:.20}: layer L there is "
            "the input of block L, and before block 0 nothing can be moved here."
        )
    return vector_at({layer - 1: read_tensor(file)}, file, model, "refusal_direction")
