"""PEFT loads our adapter and the model then gives the logits of the hooks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from steering import Sliders
from steering.formats import FixedSliders
from steering.formats.peft import to_peft
from steering.hooks.dial import attach
from tests.helpers.elsewhere import python_with, run
from tests.helpers.tiny import random_vector, save_folder, tiny_lm


@pytest.fixture(scope="module")
def python() -> str:
    return python_with("peft", "peft==0.21.2", "TRIMTAB_PEFT_PYTHON")


@pytest.mark.parametrize("family", ["Llama", "Qwen3", "Phi"])
@torch.inference_mode()
def test_peft_steers_as_the_hooks(family: str, python: str, tmp_path: Path) -> None:
    lm = tiny_lm(family)
    folder = save_folder(lm, tmp_path / "model")
    fixed = FixedSliders(Sliders(a=random_vector(1, (0, 2)), b=random_vector(2, (2, 3))), {"a": 1.0, "b": -0.5})
    to_peft(fixed, tmp_path / "adapter", lm)
    ids = torch.randint(5, 270, (2, 9), generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "ids.npy", ids.numpy())
    run(python, "peft_logits.py", folder, tmp_path / "adapter", tmp_path / "ids.npy", tmp_path / "out.npz")
    with attach(fixed.sliders, lm) as dial:
        dial.set(**fixed.values)
        steered = lm.model(input_ids=ids).logits
    found = torch.from_numpy(np.load(tmp_path / "out.npz")["logits"])
    torch.testing.assert_close(found, steered, rtol=1e-5, atol=1e-5)
