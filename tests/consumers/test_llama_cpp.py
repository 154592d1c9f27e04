"""llama.cpp, with its own loader, steers with our control vectors as the hooks do, block by block on the real model."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from steering import LanguageModel, Push, Slider, Sliders, SteeringVector
from steering.formats import FixedSliders
from steering.formats.control_vector import to_gguf
from steering.hooks.dial import attach
from steering.models.loading import PACKAGED, _packaged_file
from steering.vectors.provenance import Origin
from tests.helpers.elsewhere import python_with, run
from tests.helpers.paths import CONSUMERS

pytestmark = pytest.mark.real
PROMPT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="session")
def python() -> str:
    return python_with("llama_cpp", "llama-cpp-python==0.3.36", "TRIMTAB_LLAMA_CPP_PYTHON")


@pytest.fixture(scope="session")
def loader(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """llama.cpp's reader of control vectors as a library that Python can call."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("llama.cpp's own loader of control vectors is called through a file that g++ compiles; install g++")
    where = "import llama_cpp, pathlib; print(pathlib.Path(llama_cpp.__file__).parent)"
    package = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    libraries = next(path.parent for path in package.parent.rglob("libllama-common.so"))
    path = tmp_path_factory.mktemp("loader") / "loader.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", path, CONSUMERS / "llama_loader.cpp"]
    command += [f"-L{libraries}", "-lllama-common", f"-Wl,-rpath,{libraries}"]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged model as a float32 GGUF: what transformers dequantises, for llama.cpp to compute with as it is."""
    reader = gguf.GGUFReader(_packaged_file(next(iter(PACKAGED))))
    path = tmp_path_factory.mktemp("model") / "f32.gguf"
    writer = gguf.GGUFWriter(path, "llama", use_temp_file=False)
    for name, field in reader.fields.items():
        if name in ("general.architecture", "general.file_type") or name.startswith("GGUF."):
            continue
        kind = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=kind)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def vectors(lm: LanguageModel) -> SteeringVector:
    """Random directions at every block, each half as long as the states there."""
    norms = []
    ids = lm.tokenizer(PROMPT, return_tensors="pt").input_ids
    handles = [
        block.register_forward_hook(lambda _block, _inputs, h: norms.append(h[0, -1].norm())) for block in lm.blocks
    ]
    with torch.inference_mode():
        lm.model(input_ids=ids)
    for handle in handles:
        handle.remove()
    noise = torch.randn(lm.n_layers, lm.d_model, generator=torch.Generator().manual_seed(0))
    directions = 0.5 * torch.stack(norms).unsqueeze(1) * torch.nn.functional.normalize(noise, dim=-1)
    return SteeringVector(directions, origin=Origin(model=lm.identity, sources=(), expression="noise"))


@torch.inference_mode()
def test_llama_cpp_steers_as_the_hooks_block_by_block(
    python: str, loader: Path, model_file: Path, smollm2: LanguageModel, tmp_path: Path
) -> None:
    every = vectors(smollm2)
    settings = {
        f"block-{layer}": FixedSliders(Sliders(a=every.select([layer])), {"a": 1.0}) for layer in every.layers[1:]
    }
    two = Sliders(a=every.select([10, 11, 12]), b=Slider((Push(every.select([12, 13]), strength=0.5),)))
    settings["two"] = FixedSliders(two, {"a": 0.8, "b": -0.6})
    for name, fixed in settings.items():
        to_gguf(fixed, tmp_path / f"{name}.gguf")
    ids = smollm2.tokenizer(PROMPT, return_tensors="pt").input_ids
    np.save(tmp_path / "ids.npy", ids[0].numpy())
    files = [tmp_path / f"{name}.gguf" for name in settings]
    run(python, "llama_logits.py", model_file, loader, tmp_path / "ids.npy", tmp_path / "out.npz", *files)
    found = np.load(tmp_path / "out.npz")
    bare = smollm2.model(input_ids=ids).logits[0]
    worst = {"bare": _difference(found["bare"], bare)}
    for name, fixed in settings.items():
        with attach(fixed.sliders, smollm2) as dial:
            dial.set(**fixed.values)
            steered = smollm2.model(input_ids=ids).logits[0]
        assert (steered - bare).abs().max() > 0.5
        worst[name] = _difference(found[f"{name}.gguf"], steered)
    print({name: f"{difference:.1e}" for name, difference in worst.items()})
    assert max(worst.values()) < 5e-3, worst


def test_llama_cpps_loader_refuses_what_ours_never_writes(
    python: str, loader: Path, model_file: Path, tmp_path: Path
) -> None:
    """The rules that the export keeps are the loader's: each broken one alone makes it refuse the file."""
    good = np.ones(576, np.float32)
    broken: dict[str, dict[str, np.ndarray]] = {
        "block-0": {"direction.0": good},
        "name": {"direction.x": good},
        "half": {"direction.1": good.astype(np.float16)},
        "rank": {"direction.1": good.reshape(2, 288)},
        "widths": {"direction.1": good, "direction.2": good[:100]},
        "none": {},
    }
    write: Callable[[str, dict[str, np.ndarray]], None] = lambda name, tensors: _write(tmp_path / name, tensors)  # noqa: E731
    for name, tensors in broken.items():
        write(f"{name}.gguf", tensors)
    write("good.gguf", {"direction.1": good})
    np.save(tmp_path / "ids.npy", np.array([1, 2, 3]))
    files = [tmp_path / f"{name}.gguf" for name in (*broken, "good")]
    run(python, "llama_logits.py", model_file, loader, tmp_path / "ids.npy", tmp_path / "out.npz", *files)
    found = np.load(tmp_path / "out.npz")
    assert {name for name in broken if not np.isnan(found[f"{name}.gguf"]).all()} == set()
    assert np.isfinite(found["good.gguf"]).all()


def _difference(found: np.ndarray, expected: torch.Tensor) -> float:
    return float((torch.from_numpy(found) - expected).abs().max())


def _write(path: Path, tensors: dict[str, np.ndarray]) -> None:
    writer = gguf.GGUFWriter(path, "controlvector")
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
