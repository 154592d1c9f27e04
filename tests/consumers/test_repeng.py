"""repeng reads our control vector and steers the same; we read its."""

from pathlib import Path

import numpy as np
import torch

from steering import Sliders
from steering.formats import FixedSliders
from steering.formats.control_vector import from_gguf, to_gguf
from steering.hooks.dial import attach
from tests.helpers.elsewhere import python_with, run
from tests.helpers.known_vectors import of_model
from tests.helpers.tiny import random_vector, save_folder, tiny_lm


@torch.inference_mode()
def test_repeng_steers_as_the_hooks_and_writes_what_we_read(tmp_path: Path) -> None:
    python = python_with("repeng", "repeng==0.4.0", "TRIMTAB_REPENG_PYTHON")
    lm = tiny_lm()
    folder = save_folder(lm, tmp_path / "model")
    fixed = FixedSliders(
        Sliders(a=of_model(random_vector(1, (1, 2))), b=random_vector(2, (2, 3))), {"a": 1.0, "b": -0.5}
    )
    to_gguf(fixed, tmp_path / "x.gguf")
    ids = torch.randint(5, 270, (2, 9), generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "ids.npy", ids.numpy())
    arguments = [tmp_path / name for name in ("x.gguf", "ids.npy", "out.npz", "back.gguf")]
    run(python, "repeng_logits.py", folder, *arguments)
    with attach(fixed.sliders, lm) as dial:
        dial.set(**fixed.values)
        steered = lm.model(input_ids=ids).logits
    assert (steered - lm.model(input_ids=ids).logits).abs().max() > 0.1
    found = torch.from_numpy(np.load(tmp_path / "out.npz")["logits"])
    torch.testing.assert_close(found, steered, rtol=1e-4, atol=1e-4)
    back = from_gguf(tmp_path / "back.gguf")
    for layer, push in fixed.additions("a test").items():
        assert torch.equal(back[layer], push)
