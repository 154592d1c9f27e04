"""Exported files hold what their consumers read, byte for byte or by a reader of our own, and refuse the rest."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from steering import Push, Slider, Sliders, SteeringError, SteeringVector
from steering.formats import EXPORTS, SUFFIXES, FixedSliders
from steering.formats.control_vector import to_gguf
from steering.formats.lm_eval import to_lm_eval
from steering.formats.svec import to_activation_steering, to_aisteer360
from steering.hooks.dial import attach
from steering.interventions.gates import Gate
from steering.vectors.slider import as_slider
from tests.helpers.known_vectors import of_model
from tests.helpers.tiny import LAYERS, WIDTH, random_vector, tiny_lm


@pytest.fixture
def fixed() -> FixedSliders:
    b = Slider((Push(of_model(random_vector(2, (2, 3))), strength=2.0),))
    return FixedSliders(Sliders(a=of_model(random_vector(1, (1, 2))), b=b), {"a": 1.0, "b": -0.5})


def expected(fixed: FixedSliders) -> dict[int, torch.Tensor]:
    a, b = (as_slider(fixed.sliders[name]).pushes[0].vector for name in "ab")
    return {1: a[1], 2: a[2] - b[2], 3: -b[3]}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def test_a_gguf_control_vector_has_these_bytes(tmp_path: Path) -> None:
    directions = torch.tensor([[9.0, 9.0, 9.0], [1.0, -2.0, 0.5], [0.25, 4.0, -8.0]])
    vector = SteeringVector(directions, recommended_layers=(1, 2))
    to_gguf(FixedSliders(Sliders(vector=vector), {"vector": 1.0}, model_type="llama"), tmp_path / "x.gguf")
    string, u32 = struct.pack("<I", 8), struct.pack("<I", 4)
    header = b"GGUF" + struct.pack("<IQQ", 3, 2, 4)
    header += text("general.architecture") + string + text("controlvector")
    header += text("controlvector.model_hint") + string + text("llama")
    header += text("controlvector.layer_count") + u32 + struct.pack("<I", 2)
    header += text("trimtab.setting") + string + text('{"vector": 1.0}')
    for name, offset in (("direction.1", 0), ("direction.2", 32)):
        header += text(name) + struct.pack("<IQIQ", 1, 3, 0, offset)  # one dimension of 3, float32
    data = struct.pack("<3f20x", 1.0, -2.0, 0.5) + struct.pack("<3f20x", 0.25, 4.0, -8.0)
    assert (tmp_path / "x.gguf").read_bytes() == header + b"\0" * (-len(header) % 32) + data


def test_a_gguf_control_vector_keeps_the_rules_of_llama_cpps_loader(fixed: FixedSliders, tmp_path: Path) -> None:
    to_gguf(fixed, tmp_path / "x.gguf")
    reader = gguf.GGUFReader(tmp_path / "x.gguf")
    for tensor in reader.tensors:
        prefix, _, number = tensor.name.partition(".")
        assert prefix == "direction"
        assert int(number) > 0
        assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
        assert tensor.shape.tolist() == [WIDTH]
    assert reader.fields["controlvector.model_hint"].contents() == "llama"
    assert json.loads(reader.fields["trimtab.setting"].contents()) == {"a": 1.0, "b": -0.5}
    found = {int(tensor.name.removeprefix("direction.")): tensor.data for tensor in reader.tensors}
    for layer, push in expected(fixed).items():
        np.testing.assert_array_equal(found[layer], push.numpy())
    assert len(found) == 3


def test_block_0_is_refused_by_gguf_with_what_to_do(tmp_path: Path) -> None:
    vector = of_model(random_vector(1, (0, 1, 3)))
    with pytest.raises(SteeringError, match=r"can't reach the output of block 0.*vector\.select\(\[1, 3\]\)"):
        to_gguf(vector, tmp_path / "x.gguf")
    assert not list(tmp_path.iterdir())
    to_gguf(vector.select([1, 3]), tmp_path / "x.gguf")


def test_lm_eval_reads_a_dictionary_by_module_name(fixed: FixedSliders, tmp_path: Path) -> None:
    to_lm_eval(fixed, tmp_path / "x.pt")
    content = torch.load(tmp_path / "x.pt", weights_only=True)
    assert list(content) == ["layers.1", "layers.2", "layers.3"]
    for layer, push in expected(fixed).items():
        entry = content[f"layers.{layer}"]
        torch.testing.assert_close(entry.pop("steering_vector"), push, rtol=0, atol=0)
        assert entry == {"steering_coefficient": 1.0, "action": "add", "bias": None, "head_index": None}
    to_lm_eval(of_model(random_vector(), tiny_lm("GPT2").identity), tmp_path / "gpt2.pt")
    assert list(torch.load(tmp_path / "gpt2.pt", weights_only=True)) == ["h.1", "h.2"]


def test_lm_evals_file_refuses_a_gate_and_names_the_model_that_takes_it(tmp_path: Path) -> None:
    gated = Slider((Push(random_vector(), gate=Gate(0, torch.ones(WIDTH))),))
    with pytest.raises(SteeringError, match=r"python -m probes.lm_eval --model trimtab takes any slider"):
        to_lm_eval(gated, tmp_path / "x.pt")


def test_svec_is_numbered_by_what_each_of_its_readers_moves(fixed: FixedSliders, tmp_path: Path) -> None:
    to_aisteer360(fixed, tmp_path / "output.svec")
    content = json.loads((tmp_path / "output.svec").read_text())
    assert content["model_type"] == "llama"
    assert {int(layer): torch.tensor(values) for layer, values in content["directions"].items()}.keys() == {1, 2, 3}
    torch.testing.assert_close(torch.tensor(content["directions"]["2"]), expected(fixed)[2], rtol=0, atol=0)
    assert content["explained_variances"] == {"1": 1.0, "2": 1.0, "3": 1.0}
    with pytest.raises(SteeringError, match="output of the last, 3, which this vector moves, can't be reached"):
        to_activation_steering(fixed, tmp_path / "input.svec")
    to_activation_steering(fixed.by_axis["a"], tmp_path / "input.svec")
    content = json.loads((tmp_path / "input.svec").read_text())
    torch.testing.assert_close(torch.tensor(content["directions"]["3"]), of_model(random_vector(1))[2], rtol=0, atol=0)
    assert list(content["directions"]) == ["2", "3"]
    with pytest.raises(SteeringError, match="float16, up to 65504"):
        to_activation_steering(of_model(random_vector()) * 1e5, tmp_path / "large.svec")


def test_easysteer_gets_a_spec_and_the_control_vector_that_it_names(fixed: FixedSliders, tmp_path: Path) -> None:
    EXPORTS["easysteer"](fixed, tmp_path / "x.json")
    (vector,) = json.loads((tmp_path / "x.json").read_text())["vectors"]
    assert vector["source"] == str(tmp_path / "x.gguf")
    assert vector["layers"] == [1, 2, 3]
    assert vector["apply"] == {"prompt": "all", "generation": "all"}
    assert len(gguf.GGUFReader(tmp_path / "x.gguf").tensors) == 3
    with pytest.raises(SteeringError, match=r"Expected a \.json file"):
        EXPORTS["easysteer"](fixed, tmp_path / "x.gguf")


def test_npz_is_read_by_numpy_without_pickles(fixed: FixedSliders, tmp_path: Path) -> None:
    EXPORTS["npz"](fixed, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        assert arrays["layers"].tolist() == [1, 2, 3]
        assert arrays["model_type"] == "llama"
        np.testing.assert_array_equal(arrays["directions"], torch.stack([*expected(fixed).values()]).numpy())


@pytest.mark.parametrize("name", list(EXPORTS))
def test_what_a_file_can_not_say_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    plain = of_model(random_vector())
    push = Push(plain)
    others: list[tuple[Push, ...]] = [
        (replace(push, intervention="ablate"),),
        (replace(push, tokens="generated"),),
        (replace(push, hook_point="attn_out"),),
        (push, Push(random_vector())),
        (replace(push, gate=Gate(0, torch.ones(WIDTH))),),
    ]
    path = tmp_path / f"x{SUFFIXES[name]}"
    for pushes in others:
        with pytest.raises(SteeringError, match="Expected a plain addition at blocks for"):
            EXPORTS[name](Slider(pushes), path)
    with pytest.raises(SteeringError, match="Expected a slider that isn't at 0"):
        EXPORTS[name](FixedSliders(Sliders(a=plain), {"a": 0.0}), path)
    both = Sliders(a=plain, b=of_model(random_vector(2), tiny_lm(seed=1).identity))
    with pytest.raises(SteeringError, match="Expected vectors of one model"):
        EXPORTS[name](FixedSliders(both, {"a": 1.0, "b": 1.0}), path)
    with pytest.raises(SteeringError, match=r"Expected vectors of one model, found widths \[8, 32\]"):
        EXPORTS[name](FixedSliders(Sliders(a=plain, b=SteeringVector(torch.ones(4, 8))), {"a": 1.0, "b": 1.0}), path)
    assert not list(tmp_path.iterdir())


def test_a_model_type_is_asked_for_where_nobody_knows_it(tmp_path: Path) -> None:
    for name in ("gguf", "aisteer360", "activation-steering", "easysteer"):
        with pytest.raises(SteeringError, match="model_type"):
            EXPORTS[name](random_vector(), tmp_path / f"x{SUFFIXES[name]}")
    assert not list(tmp_path.iterdir())


def test_a_setting_refuses_unknown_axes_and_numbers_that_are_none() -> None:
    sliders = Sliders(a=random_vector())
    with pytest.raises(SteeringError, match="no axis 'b'"):
        FixedSliders(sliders, {"b": 1.0})
    with pytest.raises(SteeringError, match="finite"):
        FixedSliders(sliders, {"a": float("nan")})


def test_additions_are_the_dials_own(fixed: FixedSliders) -> None:
    lm = tiny_lm()
    with attach(fixed.sliders, lm) as dial:
        dial.set(**fixed.values)
        deltas = {list(lm.blocks).index(block): hook._delta.flatten() for block, (hook,) in dial._hooks.items()}
    for layer, push in fixed.additions("a test").items():
        torch.testing.assert_close(push, deltas[layer], rtol=1e-6, atol=1e-6)
    assert LAYERS - 1 in deltas
