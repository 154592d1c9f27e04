"""Other tools' files become vectors that do here what they did there, and nothing in them is run."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from steering import Sliders, SteeringError, SteeringVector
from steering.formats import EXPORTS, IMPORTS, SUFFIXES, FixedSliders
from tests.helpers.known_vectors import of_model
from tests.helpers.tiny import LAYERS, WIDTH, random_vector, tiny_lm

VECTORS = torch.randn(LAYERS, WIDTH, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("name", ["gguf", "repeng", "aisteer360", "activation-steering", "npz"])
def test_what_is_exported_comes_back(name: str, tmp_path: Path) -> None:
    axes = Sliders(a=of_model(random_vector(1, (1, 2))), b=of_model(random_vector(2, (2,))))
    fixed = FixedSliders(axes, {"a": 1.0, "b": -0.5})
    path = tmp_path / f"x{SUFFIXES[name]}"
    EXPORTS[name](fixed, path)
    vector = IMPORTS[name](path, None)
    assert vector.layers == vector.recommended_layers == (1, 2)
    for layer, push in fixed.additions("a test").items():
        torch.testing.assert_close(vector[layer], push, rtol=0, atol=0)


def test_our_own_gguf_still_knows_its_model(tmp_path: Path) -> None:
    EXPORTS["gguf"](of_model(random_vector()), tmp_path / "x.gguf")
    vector = IMPORTS["gguf"](tmp_path / "x.gguf", None)
    assert vector.origin is not None
    assert vector.origin.model == tiny_lm().identity
    with pytest.raises(SteeringError, match="doesn't belong here"):
        vector.check(tiny_lm(seed=1).identity)


def test_repengs_gguf_is_read_at_the_same_layers(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "controlvector")  # as repeng writes it, last layer first
    writer.add_string("controlvector.model_hint", "llama")
    writer.add_uint32("controlvector.layer_count", 3)
    for layer in (3, 2, 1):
        writer.add_tensor(f"direction.{layer}", VECTORS[layer].numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    vector = IMPORTS["repeng"](tmp_path / "x.gguf", tiny_lm().identity)
    assert vector.layers == (1, 2, 3)
    assert torch.equal(vector.directions, VECTORS[1:])
    assert vector.origin is not None
    assert vector.title == "x"


def test_a_gguf_of_lower_precision_is_read_by_its_values(tmp_path: Path) -> None:
    for kind in (gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.BF16, gguf.GGMLQuantizationType.Q8_0):
        writer = gguf.GGUFWriter(tmp_path / "x.gguf", "controlvector")
        writer.add_tensor("direction.1", gguf.quantize(VECTORS[1].numpy(), kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        torch.testing.assert_close(IMPORTS["gguf"](tmp_path / "x.gguf", None)[1], VECTORS[1], rtol=0.02, atol=0.02)


def test_activation_steering_moves_the_inputs_of_blocks(tmp_path: Path) -> None:
    directions = {str(layer): VECTORS[layer].tolist() for layer in range(LAYERS)}
    content = {"model_type": "llama", "directions": directions, "explained_variances": {}}
    (tmp_path / "x.svec").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="left out layer 0 of 'x.svec'"):
        vector = IMPORTS["activation-steering"](tmp_path / "x.svec", None)
    assert vector.layers == (0, 1, 2)
    assert torch.equal(vector[1], VECTORS[2])
    assert torch.equal(IMPORTS["aisteer360"](tmp_path / "x.svec", None).directions, VECTORS)
    content["directions"] = {"2": [VECTORS[2].tolist()]}  # AISteer360 writes (1, d_model)
    (tmp_path / "x.svec").write_text(json.dumps(content))
    assert torch.equal(IMPORTS["aisteer360"](tmp_path / "x.svec", None)[2], VECTORS[2])


def test_caas_files_have_their_layer_in_their_name(tmp_path: Path) -> None:
    for layer in (1, 3):
        torch.save(VECTORS[layer].half(), tmp_path / f"vec_layer_{layer}_Llama-2-7b-chat-hf.pt")
    one = IMPORTS["caa"](tmp_path / "vec_layer_3_Llama-2-7b-chat-hf.pt", None)
    assert one.layers == (3,)
    assert torch.equal(one[3], VECTORS[3].half().float())
    assert IMPORTS["caa"](tmp_path, None).layers == (1, 3)
    torch.save(VECTORS[2], tmp_path / "vec_layer_2_Llama-2-13b-chat-hf.pt")
    with pytest.raises(SteeringError, match="of one model"):
        IMPORTS["caa"](tmp_path, None)


@torch.inference_mode()
def test_a_refusal_direction_acts_at_the_input_of_its_block(tmp_path: Path) -> None:
    torch.save(VECTORS[2].double(), tmp_path / "direction.pt")
    (tmp_path / "direction_metadata.json").write_text(json.dumps({"pos": -2, "layer": 2}))
    lm = tiny_lm()
    vector = IMPORTS["refusal-direction"](tmp_path, lm.identity)
    assert vector.layers == (1,)
    ids = torch.arange(5, 15).unsqueeze(0)

    def their_hook(_module: object, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (inputs[0] + VECTORS[2], *inputs[1:])

    handle = lm.blocks[2].register_forward_pre_hook(their_hook)
    expected = lm.model(input_ids=ids).logits
    handle.remove()
    with Sliders(refusal=vector).attach(lm) as dial:
        dial.set(refusal=1.0)
        torch.testing.assert_close(lm.model(input_ids=ids).logits, expected, rtol=1e-6, atol=1e-6)
    (tmp_path / "direction_metadata.json").write_text(json.dumps({"pos": -2, "layer": 0}))
    with pytest.raises(SteeringError, match=r"layer from 1 on .* found 0"):
        IMPORTS["refusal-direction"](tmp_path / "direction.pt", None)


def test_steering_vectors_tensors_are_read_but_never_its_objects(tmp_path: Path) -> None:
    inner = {1: VECTORS[1], 3: VECTORS[3]}
    torch.save({"layer_activations": inner, "layer_type": "decoder_block"}, tmp_path / "x.pt")
    torch.save(inner, tmp_path / "inner.pt")
    for name in ("x.pt", "inner.pt"):
        vector = IMPORTS["steering-vectors"](tmp_path / name, None)
        assert vector.layers == (1, 3)
        assert torch.equal(vector[3], VECTORS[3])
    torch.save({"layer_activations": inner, "layer_type": "self_attn"}, tmp_path / "attention.pt")
    with pytest.raises(SteeringError, match="found 'self_attn'"):
        IMPORTS["steering-vectors"](tmp_path / "attention.pt", None)


class Hostile:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize(
    ("name", "file"),
    [("caa", "vec_layer_1_m.pt"), ("steering-vectors", "x.pt"), ("refusal-direction", "direction.pt")],
)
def test_pickles_are_refused_unread(name: str, file: str, tmp_path: Path) -> None:
    (tmp_path / "direction_metadata.json").write_text('{"layer": 1}')
    torch.save({"x": Hostile()}, tmp_path / file)
    with pytest.raises(SteeringError, match="other objects are never loaded"):
        IMPORTS[name](tmp_path / file, None)
    (tmp_path / file).write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(SteeringError, match="other objects are never loaded"):
        IMPORTS[name](tmp_path / file, None)
    torch.save([1, "two"], tmp_path / file)
    with pytest.raises(SteeringError, match="found 'list'"):
        IMPORTS[name](tmp_path / file, None)


def test_an_npz_with_objects_is_refused_unread(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", layers=np.array([1]), directions=np.array([Hostile()]))
    with pytest.raises(SteeringError, match=r"Expected an \.npz file"):
        IMPORTS["npz"](tmp_path / "x.npz", None)


@pytest.mark.parametrize("name", list(IMPORTS))
@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF" + b"\xff" * 64, b"{}", b"[1]", b"PK\x03\x04", b'{"directions": {"x": 1}}']
)
def test_damaged_files_are_one_sentence(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / {"caa": "vec_layer_1_m.pt", "refusal-direction": "direction.pt"}.get(name, "x")
    (tmp_path / "direction_metadata.json").write_bytes(b'{"layer": 1}')
    path.write_bytes(content)
    with pytest.raises(SteeringError):
        IMPORTS[name](path, None)
    with pytest.raises(SteeringError, match=r"There is no file|found none"):
        IMPORTS[name](tmp_path / "nowhere", None)


def test_directions_of_several_widths_or_of_another_model_are_refused(tmp_path: Path) -> None:
    directions: dict[str, object] = {"1": [1.0, 2.0], "2": [1.0]}
    (tmp_path / "x.svec").write_text(json.dumps({"directions": directions}))
    with pytest.raises(SteeringError, match="all of one width"):
        IMPORTS["aisteer360"](tmp_path / "x.svec", None)
    directions["2"] = ["a", "b"]
    (tmp_path / "x.svec").write_text(json.dumps({"directions": directions}))
    with pytest.raises(SteeringError, match="Expected numbers at layer 2"):
        IMPORTS["aisteer360"](tmp_path / "x.svec", None)
    EXPORTS["npz"](SteeringVector(torch.ones(9, WIDTH)), tmp_path / "x.npz")
    with pytest.raises(SteeringError, match="layers up to 8"):
        IMPORTS["npz"](tmp_path / "x.npz", tiny_lm().identity)
