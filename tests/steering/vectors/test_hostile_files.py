"""Files of both formats that are damaged or made to harm: each is refused with a sentence that names it."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from steering import Push, Slider, SteeringError, SteeringVector
from steering.interventions.gates import Gate
from steering.vectors import file_format_1
from steering.vectors.file_format import METADATA_KEY
from tests.helpers.known_vectors import DOSE, TRIALS
from tests.helpers.tiny import LAYERS, WIDTH, random_vector

FORMAT_1 = Path(__file__).parent / "format_1"


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


def edit_dose(**fields: Any) -> Callable[[Path], None]:
    """A change to fields of the slider's dose."""
    return edit(lambda content: content["slider"]["dose"].update(fields))


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
    "an unknown reading": (edit_gate(reads="minds"), "no gate reading 'minds'"),
    "a threshold that is not a number": (edit_gate(threshold=float("nan")), "damaged metadata"),
    "a threshold beyond float32": (edit_gate(threshold=1e39), "finite bias, threshold and bounds"),
    "a dose of one value": (edit_dose(values=[0.0], strengths=[0.0], effects=[0.0]), "2 at least, found 1 values"),
    "a dose of rows of different lengths": (edit_dose(effects=[0.0]), "4 strengths and 1 effects"),
    "a dose in disorder": (edit_dose(values=[-1.0, 0.0, 1.0, 0.25]), "ascending values, found"),
    "a dose whose values meet in float32": (edit_dose(values=[-1.0, 0.0, 1.0, 1.0 + 1e-12]), "ascending values"),
    "a dose that never is 0": (edit_dose(values=[-1.0, 0.1, 0.25, 1.0]), "0 at value 0"),
    "a dose that acts at 0": (edit_dose(strengths=[-0.5, 0.05, 0.1, 3.0]), "0 at value 0"),
    "a dose that falls": (edit_dose(strengths=[-0.5, 0.0, 3.0, 0.1]), "strengths that never fall"),
    "an infinite dose": (edit_dose(strengths=[-0.5, 0.0, 0.1, float("inf")]), "damaged metadata"),
    "a dose beyond float32": (edit_dose(strengths=[-0.5, 0.0, 0.1, 1e39]), "finite strengths"),
    "an unknown field of a dose": (edit_dose(run="rm -rf"), "damaged metadata"),
    "an unknown field of a trial": (
        edit(lambda content: content["slider"]["trials"][0].update(run="rm -rf")),
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
    Slider((setting, Push(random_vector(layers=(1, 2)), gate=gate)), dose=DOSE, trials=TRIALS).save(path)
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
