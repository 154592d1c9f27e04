"""The artifact on disk: bit for bit there and back, and nothing else gets in."""

import json
import os
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from steering import LanguageModel, Push, Slider, Sliders, SteeringError, SteeringVector, extract
from steering.atomic_write import atomic_write
from steering.interventions.gates import Gate
from steering.vectors import file_format_1
from steering.vectors.file_format import METADATA_KEY
from steering.vectors.provenance import Calibration, Span
from steering.vectors.slider import as_slider
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.forward_passes import logits
from tests.helpers.tiny import LAYERS, WIDTH, random_vector, tiny_lm

FORMAT_1 = Path(__file__).parent / "format_1"
CALIBRATION = Calibration(
    score="refusal",
    data="1" * 16,
    prompts=8,
    ordinary_prompts=8,
    kl_budget=0.1,
    spans=(Span(layers=(1, 2), strength=2.0, lowest=1.0, kl=0.05, gain=1.0),),
)


@pytest.fixture(scope="module")
def vector(lm: LanguageModel) -> SteeringVector:
    return extract(lm, prompt_pairs(10), progress=False)


def fields(vector: SteeringVector) -> dict[str, Any]:
    return {name: value for name, value in asdict(vector).items() if name != "directions"}


def test_a_vector_survives_save_and_load_bit_for_bit(vector: SteeringVector, tmp_path: Path) -> None:
    for name, one in (("extracted", vector), ("combined", 0.1 * vector - vector), ("given", random_vector())):
        one.save(tmp_path / name)
        back = SteeringVector.load(tmp_path / name)
        assert torch.equal(back.directions.view(torch.int32), one.directions.view(torch.int32))
        assert fields(back) == fields(one)
        back.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == (tmp_path / name).read_bytes()


def test_load_checks_against_a_model(vector: SteeringVector, lm: LanguageModel, tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    vector.save(path)
    SteeringVector.load(path, lm)
    with pytest.raises(SteeringError, match="made with weights"):
        SteeringVector.load(path, tiny_lm(seed=1))
    SteeringVector.load(path, tiny_lm(seed=1), allow_mismatch=["weights"])


def rewrite(change: Callable[[dict[str, torch.Tensor], dict[str, str]], None]) -> Callable[[Path], None]:
    """A change to a file's tensors and metadata."""

    def apply(path: Path) -> None:
        tensors = load_file(path)
        with path.open("rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            metadata = json.loads(stream.read(size))["__metadata__"]
        change(tensors, metadata)
        save_file(tensors, path, metadata=metadata)

    return apply


def edit(change: Callable[[dict[str, Any]], Any], key: str = METADATA_KEY) -> Callable[[Path], None]:
    """A change to the JSON in the metadata."""

    def apply(_tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        content = json.loads(metadata[key])
        change(content)
        metadata[key] = json.dumps(content)

    return rewrite(apply)


def edit_vector(**fields: Any) -> Callable[[Path], None]:
    """A change to fields of the first vector."""
    return edit(lambda content: content["vectors"][0].update(fields))


def edit_push(number: int = 0, **fields: Any) -> Callable[[Path], None]:
    """A change to fields of a push."""
    return edit(lambda content: content["slider"]["pushes"][number].update(fields))


def edit_gate(**fields: Any) -> Callable[[Path], None]:
    """A change to fields of the second push's gate."""
    return edit(lambda content: content["slider"]["pushes"][1]["gate"].update(fields))


def retype(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    """A change to one tensor."""
    return rewrite(lambda tensors, _metadata: tensors.update({name: change(tensors[name]).contiguous()}))


DIRECTIONS = "vectors.0.directions"
Case = tuple[Callable[[Path], Any], str]
HOSTILE_VECTORS: dict[str, Case] = {
    "empty": (lambda p: p.write_bytes(b""), "not a safetensors file"),
    "text": (lambda p: p.write_text("safety: 1"), "not a safetensors file"),
    "pickle": (lambda p: torch.save({DIRECTIONS: torch.ones(4, 32)}, p), "not a safetensors file"),
    "cut short": (lambda p: p.write_bytes(p.read_bytes()[:-7]), "not a safetensors file"),
    "cut in the header": (lambda p: p.write_bytes(p.read_bytes()[:40]), "not a safetensors file"),
    "header of 2^60 bytes": (lambda p: p.write_bytes(struct.pack("<Q", 1 << 60) + b"{}"), "not a safetensors file"),
    "a model's weights": (lambda p: save_file({DIRECTIONS: torch.ones(4, 32)}, p), "not a Trimtab vector"),
    "no such tensor": (rewrite(lambda t, m: t.update(other=t.pop(DIRECTIONS))), "found 'other'"),
    "a tensor too many": (
        rewrite(lambda t, m: t.update(extra=torch.ones(2))),
        "found 'vectors.0.directions', 'extra'|'extra', 'vec",
    ),
    "half precision": (retype(DIRECTIONS, torch.Tensor.half), "found torch.float16"),
    "one dimension": (retype(DIRECTIONS, lambda t: t[0].clone()), r"of shape \(32,\)"),
    "not a number": (rewrite(lambda t, m: t[DIRECTIONS].fill_(torch.nan)), "infinite or undefined"),
    "a layer too few": (retype(DIRECTIONS, lambda t: t[1:].clone()), "entries for 3 directions"),
    "another width": (retype(DIRECTIONS, lambda t: t[:, 1:].clone()), "directions have width 31"),
    "newer format": (
        edit(lambda content: content.update(format_version="3", novelty=1)),
        "format version '3', this Trimtab reads '2' and '1'",
    ),
    "format 1 under the key of format 2": (
        edit(lambda content: content.update(format_version="1")),
        "format version '1', this Trimtab reads",
    ),
    "other metadata": (rewrite(lambda t, m: m.update(format=m.pop(METADATA_KEY))), r"lack 'trimtab.*', have 'format'"),
    "broken JSON": (rewrite(lambda t, m: m.update({METADATA_KEY: m[METADATA_KEY][:-3]})), "damaged metadata"),
    "deep JSON": (rewrite(lambda t, m: m.update({METADATA_KEY: "[" * 100_000})), "damaged metadata"),
    "an unknown field": (edit(lambda content: content.update(run="rm -rf")), "damaged metadata"),
    "an unknown field of a vector": (edit_vector(run="rm -rf"), "damaged metadata"),
    "layers as text": (edit_vector(layers=["zero"]), "damaged metadata"),
    "repeated layers": (edit_vector(layers=[0, 1, 1, 3]), "4 ascending layers"),
    "a layer that the model has not": (edit_vector(layers=[0, 1, 2, 9]), "layers up to 9"),
    "negative layers": (edit_vector(layers=[-1, 0, 1, 2], recommended_layers=[0]), "4 ascending layers"),
    "no recommended layers": (edit_vector(recommended_layers=[]), "no recommended layers"),
    "foreign recommended layers": (edit_vector(recommended_layers=[8]), "recommended layers out of"),
    "a short profile": (
        edit(lambda content: content["vectors"][0]["profile"].update(auroc=[0.5])),
        "auroc has 1 entries for 4",
    ),
    "another model's width": (
        edit(lambda content: content["vectors"][0]["origin"]["model"].update(d_model=64)),
        "speak of width 64",
    ),
    "no vector": (
        rewrite(lambda t, m: (t.clear(), m.update({METADATA_KEY: '{"format_version": "2", "vectors": []}'}))),
        "one vector in a file without a slider, found 0",
    ),
    "two vectors and nothing to do with them": (
        rewrite(
            lambda t, m: (
                t.update({"vectors.1.directions": torch.ones(1, 32)}),
                m.update({METADATA_KEY: json.dumps(twice(json.loads(m[METADATA_KEY])))}),
            )
        ),
        "one vector in a file without a slider, found 2",
    ),
    "no directions": (
        rewrite(
            lambda t, m: (
                t.update({DIRECTIONS: torch.ones(0, 32)}),
                m.update({METADATA_KEY: json.dumps(without_layers(json.loads(m[METADATA_KEY])))}),
            )
        ),
        "it has no layers",
    ),
}


def twice(content: dict[str, Any]) -> dict[str, Any]:
    """The content with a second vector, of one layer."""
    second = {"layers": [0], "recommended_layers": [0], "origin": None, "profile": None}
    return content | {"vectors": [*content["vectors"], second]}


def without_layers(content: dict[str, Any]) -> dict[str, Any]:
    """The content with a vector of no layers that moves some."""
    return content | {"vectors": [content["vectors"][0] | {"layers": [], "profile": None}]}


HOSTILE_SLIDERS: dict[str, Case] = {
    "an infinite strength": (edit_push(strength=float("inf")), "damaged metadata"),
    "a strength beyond float32": (edit_push(strength=1e39), "strength that keeps the directions finite"),
    "an unknown field of a push": (edit_push(run="rm -rf"), "damaged metadata"),
    "a push without tokens": (
        edit(lambda content: content["slider"]["pushes"][0].pop("tokens")),
        "damaged metadata",
    ),
    "a vector that isn't there": (edit_push(vector=7), "names a vector that isn't there"),
    "a vector counted from the end": (edit_push(vector=-1), "names a vector that isn't there"),
    "foreign layers to move": (edit_push(layers=[9]), r"ascending layers out of \[0, 1, 2, 3\] to move"),
    "layers to move in disorder": (edit_push(layers=[2, 1]), "ascending layers out of"),
    "an unknown intervention": (edit_push(intervention="magic"), "no intervention 'magic'"),
    "an unknown hook point": (edit_push(hook_point="mlp_out"), "no hook point 'mlp_out'"),
    "unknown tokens": (edit_push(tokens="nowhere"), "'nowhere'"),
    "an intervention that takes other tensors": (edit_push(intervention="add_mapped"), "takes the tensors 'reader'"),
    "a tensor that nobody brought": (edit_push(tensors=["center", "reader"]), "should hold the tensors"),
    "no tensor": (rewrite(lambda t, m: t.pop("pushes.0.center")), "should hold the tensors"),
    "a tensor twice": (edit_push(tensors=["center", "center"]), "should hold the tensors"),
    "a tensor for a gate": (
        edit_push(1, gate=None, tensors=["gate"]),
        "'add' takes the tensors .*found 'gate'",
    ),
    "a tensor of another shape": (retype("pushes.0.center", lambda t: t[1:]), "center of the directions' shape"),
    "a tensor that is not a number": (
        rewrite(lambda t, m: t["pushes.0.center"].fill_(torch.nan)),
        "finite center of the directions' shape",
    ),
    "a tensor in double precision": (retype("pushes.0.center", torch.Tensor.double), "found torch.float64"),
    "a gate of another width": (retype("pushes.1.gate", lambda t: t[:, 1:]), "gate of the directions' width 32"),
    "a gate of one dimension": (retype("pushes.1.gate", lambda t: t[0]), "should hold float32 pushes.1.gate"),
    "a gate without a tensor": (rewrite(lambda t, m: t.pop("pushes.1.gate")), "should hold the tensors"),
    "a gate that is not a number": (rewrite(lambda t, m: t["pushes.1.gate"].fill_(torch.inf)), "gate's direction"),
    "a gate after the first move": (edit_gate(layer=3), "gate at layer 1 or below"),
    "a gate before the first layer": (edit_gate(layer=-1), "gate at layer 1 or below"),
    "an unknown curve": (edit_gate(curve="__import__('os')"), "no gate curve"),
    "gate bounds in disorder": (edit_gate(low=2.0), "bounds in order"),
    "an infinite bias": (edit_gate(bias=float("inf")), "damaged metadata"),
    "a gate that reads no token": (edit_gate(tokens=[]), "for 0"),
    "a gate that reads a token twice": (edit_gate(tokens=[1, 1]), "different tokens from 1"),
    "a gate of more tokens than directions": (edit_gate(tokens=[1, 2, 3]), "for 3"),
    "a range in disorder": (
        edit(lambda content: content["slider"].update(range=[1.0, -1.0])),
        "finite range in order",
    ),
    "an infinite range": (
        edit(lambda content: content["slider"].update(range=[-1.0, float("inf")])),
        "damaged metadata",
    ),
    "no push": (
        rewrite(
            lambda t, m: (
                [t.pop(name) for name in [*t] if name.startswith("pushes")],
                m.update({METADATA_KEY: json.dumps(without_pushes(json.loads(m[METADATA_KEY])))}),
            )
        ),
        "one push or several",
    ),
    "directions that are not numbers": (
        rewrite(lambda t, m: t["vectors.1.directions"].fill_(torch.nan)),
        "infinite or undefined",
    ),
    "vectors of different widths": (
        rewrite(lambda t, m: t.update({"vectors.1.directions": torch.ones(4, 31), "pushes.1.gate": torch.ones(2, 31)})),
        "several of the same width",
    ),
}


def without_pushes(content: dict[str, Any]) -> dict[str, Any]:
    """The content with a slider that does nothing."""
    return content | {"slider": content["slider"] | {"pushes": []}}


def edit_1(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A change to the JSON of a file of format 1."""
    return edit(change, file_format_1.METADATA_KEY)


HOSTILE_FORMAT_1: dict[str, Case] = {
    "no such tensor": (rewrite(lambda t, m: t.update(other=t.pop("directions"))), "'other'"),
    "a tensor too many": (rewrite(lambda t, m: t.update(extra=torch.ones(2))), "'extra'"),
    "no companion's tensor": (rewrite(lambda t, m: t.pop("companions.1.directions")), "should hold the tensors"),
    "no reference": (rewrite(lambda t, m: t.pop("reference")), "should hold the tensors"),
    "no gate": (rewrite(lambda t, m: t.pop("gate")), "should hold the tensors"),
    "half precision": (retype("directions", torch.Tensor.half), "found torch.float16"),
    "one dimension": (retype("directions", lambda t: t[0]), r"of shape \(32,\)"),
    "a gate of three dimensions": (retype("gate", lambda t: t[None, None]), r"of shape \(1, 1, 32\)"),
    "not a number": (rewrite(lambda t, m: t["directions"].fill_(torch.nan)), "infinite or undefined"),
    "a reference that is not a number": (rewrite(lambda t, m: t["reference"].fill_(torch.nan)), "finite ceiling"),
    "a layer too few": (retype("directions", lambda t: t[1:]), "entries for 3 directions"),
    "another width": (retype("directions", lambda t: t[:, 1:]), "directions have width 31"),
    "newer format": (edit_1(lambda content: content.update(format_version="2", novelty=1)), "format version '2'"),
    "broken JSON": (
        rewrite(lambda t, m: m.update({file_format_1.METADATA_KEY: m[file_format_1.METADATA_KEY][:-3]})),
        "damaged metadata",
    ),
    "deep JSON": (rewrite(lambda t, m: m.update({file_format_1.METADATA_KEY: "[" * 100_000})), "damaged metadata"),
    "an unknown field": (edit_1(lambda content: content.update(run="rm -rf")), "damaged metadata"),
    "an unknown field of a companion": (
        edit_1(lambda content: content["companions"][0].update(run="rm -rf")),
        "damaged metadata",
    ),
    "an unknown field of a gate": (edit_1(lambda content: content["gate"].update(run="rm -rf")), "damaged metadata"),
    "an unknown field of the origin": (
        edit_1(lambda content: content["origin"].update(run="rm -rf")),
        "damaged metadata",
    ),
    "layers as text": (edit_1(lambda content: content.update(layers=["zero"])), "damaged metadata"),
    "repeated layers": (edit_1(lambda content: content.update(layers=[0, 1, 1, 3])), "4 ascending layers"),
    "a layer that the model has not": (edit_1(lambda content: content.update(layers=[0, 1, 2, 9])), "layers up to 9"),
    "no recommended layers": (edit_1(lambda content: content.update(recommended_layers=[])), "no recommended layers"),
    "foreign recommended layers": (
        edit_1(lambda content: content.update(recommended_layers=[8])),
        "recommended layers out of",
    ),
    "a short profile": (
        edit_1(
            lambda content: content.update(
                profile={"residual_norm": [1.0] * 4, "auroc": [0.5], "pair_cosine": [0.5] * 4}
            )
        ),
        "auroc has 1 entries for 4",
    ),
    "an infinite unit": (edit_1(lambda content: content.update(unit=float("inf"))), "damaged metadata"),
    "an infinite unit of a companion": (
        edit_1(lambda content: content["companions"][0].update(unit=float("nan"))),
        "damaged metadata",
    ),
    "another model's width": (
        edit_1(lambda content: content["origin"]["model"].update(d_model=64)),
        "speak of width 64",
    ),
    "an unknown site": (edit_1(lambda content: content.update(site="mlp")), "no hook point 'mlp'"),
    "an unknown intervention": (
        edit_1(lambda content: content["companions"][1].update(intervention="magic")),
        "no intervention 'magic'",
    ),
    "damaged spans": (edit_1(lambda content: content.update(calibration={"spans": 3})), "damaged metadata"),
    "a damaged calibration": (edit_1(lambda content: content.update(calibration={"spans": []})), "damaged metadata"),
}


def assert_refused(path: Path, load: Callable[[Path], object], sentence: str) -> None:
    with pytest.raises(SteeringError, match=sentence) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", HOSTILE_VECTORS)
def test_a_corrupt_or_hostile_file_is_refused_with_a_sentence(
    case: str, vector: SteeringVector, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.safetensors"
    vector.save(path)
    spoil, sentence = HOSTILE_VECTORS[case]
    spoil(path)
    assert_refused(path, SteeringVector.load, sentence)
    assert_refused(path, Slider.load, sentence)


@pytest.mark.parametrize("case", HOSTILE_SLIDERS)
def test_a_corrupt_or_hostile_slider_is_refused_with_a_sentence(
    case: str, vector: SteeringVector, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.safetensors"
    gate = Gate(1, torch.randn(2, WIDTH), tokens=(3, 1))
    setting = Push(vector, layers=(1, 2), intervention="set_projection", tensors={"center": torch.randn(LAYERS, WIDTH)})
    Slider((setting, Push(random_vector(layers=(1, 2)), gate=gate))).save(path)
    Slider.load(path)
    spoil, sentence = HOSTILE_SLIDERS[case]
    spoil(path)
    assert_refused(path, Slider.load, sentence)


@pytest.mark.parametrize("case", HOSTILE_FORMAT_1)
def test_a_corrupt_or_hostile_file_of_format_1_is_refused_with_a_sentence(case: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes((FORMAT_1 / "gated.safetensors").read_bytes())
    spoil, sentence = HOSTILE_FORMAT_1[case]
    spoil(path)
    assert_refused(path, Slider.load, sentence)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(SteeringError, match="There is no vector file"):
            SteeringVector.load(path)


def test_a_failed_save_keeps_the_old_file_and_leaves_no_other(
    vector: SteeringVector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v.safetensors"
    vector.save(path)
    before = path.read_bytes()

    def break_off(_tensors: object, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr("steering.vectors.file_format.save_file", break_off)
    with pytest.raises(KeyboardInterrupt):
        vector.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["v.safetensors"]
    with pytest.raises(SteeringError, match=r"folder .*nowhere' doesn't exist"):
        vector.save(tmp_path / "nowhere" / "v.safetensors")


def test_files_are_readable_by_whom_the_umask_says(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_interventions_gates_and_several_pushes_survive_bit_for_bit(vector: SteeringVector, tmp_path: Path) -> None:
    gate = Gate(1, torch.randn(WIDTH), bias=0.25, curve="line", cosine=True, low=-1.0, high=3.0)
    second = SteeringVector(torch.randn(2, WIDTH), layers=(0, 3))
    tensors = {"second_direction": torch.randn(vector.directions.shape)}
    whole = Slider(
        (
            Push(vector, (2,), 0.5, "rotate", tensors, "attn_out", "generated", gate),
            Push(second, intervention="ablate", strength=-1.0),
            Push(second, gate=Gate(0, torch.ones(2, WIDTH), tokens=(3, 1))),
        ),
        range=(-0.5, 2.0),
        calibration=CALIBRATION,
    )
    whole.save(tmp_path / "whole.safetensors")
    back = Slider.load(tmp_path / "whole.safetensors")
    assert (back.range, back.calibration) == (whole.range, whole.calibration)
    assert len(back.pushes) == 3
    for ours, theirs in zip(whole.pushes, back.pushes, strict=True):
        for name in ("layers", "strength", "intervention", "hook_point", "tokens"):
            assert getattr(theirs, name) == getattr(ours, name), name
        assert fields(theirs.vector) == fields(ours.vector)
        assert torch.equal(theirs.vector.directions, ours.vector.directions)
        assert list(theirs.tensors) == list(ours.tensors)
        assert (theirs.gate is None) == (ours.gate is None)
    assert back.pushes[1].vector is back.pushes[2].vector  # one that two pushes share is there once
    rotation, _, gated = back.pushes
    assert torch.equal(rotation.tensors["second_direction"], tensors["second_direction"])
    assert rotation.gate is not None
    assert torch.equal(rotation.gate.direction, gate.direction)
    assert [getattr(rotation.gate, name) for name in ("layer", "bias", "curve", "cosine", "low", "high", "tokens")] == [
        1, 0.25, "line", True, -1.0, 3.0, (1,)
    ]  # fmt: skip
    assert gated.gate is not None
    assert (gated.gate.layer, gated.gate.tokens) == (0, (3, 1))
    assert torch.equal(gated.gate.direction, torch.ones(2, WIDTH))
    back.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert back.summary() == whole.summary()
    assert "rotate at attn_out of layers 2" in back.summary().text


def test_a_slider_survives_save_and_load_and_does_the_same(lm: LanguageModel, tmp_path: Path) -> None:
    gate = Gate(0, torch.randn(2, WIDTH), curve="probability", tokens=(3, 1))
    tensors = {"reader": torch.randn(LAYERS, WIDTH)}
    slider = Slider(
        (
            Push(random_vector(1), layers=(1,), strength=0.3, gate=gate, tokens="answer"),
            Push(random_vector(2), layers=(2, 3), strength=0.1, intervention="add_mapped", tensors=tensors),
        )
    )
    slider.save(tmp_path / "s.safetensors")
    found = []
    for one in (slider, Slider.load(tmp_path / "s.safetensors", lm)):
        with Sliders(a=one).attach(lm) as dial:
            dial.set(a=0.8)
            found.append(logits(lm))
    assert torch.equal(*found)
    assert not torch.equal(found[0], logits(lm))


def test_a_vectors_file_is_its_plain_slider_and_another_sliders_file_is_no_vector(
    vector: SteeringVector, tmp_path: Path
) -> None:
    vector.save(tmp_path / "v.safetensors")
    slider = Slider.load(tmp_path / "v.safetensors")
    assert slider.summary() == as_slider(vector).summary()
    assert torch.equal(slider.only_addition("to test").vector.directions, vector.directions)
    slider.save(tmp_path / "s.safetensors")
    assert (tmp_path / "s.safetensors").read_bytes() == (tmp_path / "v.safetensors").read_bytes()
    slider.scaled(2.0).save(tmp_path / "s.safetensors")
    with pytest.raises(SteeringError, match=r"holds a slider.*Slider\.load"):
        SteeringVector.load(tmp_path / "s.safetensors")
