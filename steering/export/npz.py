"""NumPy: a plain `.npz`, for any tool of your own.

`layers`, (layers,) int64, block indices; `directions`, (layers, d_model) float32, what is added to each block's output;
`model_type`, text, empty where it isn't known. Read it with `numpy.load(path, allow_pickle=False)`.
"""

from pathlib import Path

import numpy as np
import torch

from steering.export.setting import Steering, as_setting, file_additions
from steering.files import replacing


def to_npz(steering: Steering, path: str | Path) -> None:
    """Write the file, whole or not at all. Raises SteeringError for anything but additions at blocks."""
    additions = file_additions(steering, "a .npz file")
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            layers=np.array(list(additions), dtype=np.int64),
            directions=torch.stack(list(additions.values())).numpy(),
            model_type=np.array(as_setting(steering).architecture or ""),
        )
