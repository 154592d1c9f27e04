"""Model folders that are damaged: one sentence that names the file, and no random weights."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from steering import SteeringError, load
from tests.helpers.tiny import save_folder, tiny_lm


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_folder(tiny_lm(), tmp_path)


def test_weights_that_a_folder_lacks_are_not_made_up(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SteeringError, match=r"found 1 missing, such as 'model\.layers\.1\.mlp\.up_proj\.weight'"):
        load(folder)
