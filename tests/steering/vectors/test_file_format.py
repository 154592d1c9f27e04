"""The artifact on disk: bit for bit there and back, and nothing else gets in."""

import json
import os
import struct
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from steering import LanguageModel, SteeringError, SteeringVector, extract
from steering.files import atomic_write
from steering.interventions.gates import Gate
from steering.vectors.file_format import METADATA_KEY
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm


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


def edit(**changes: Any) -> Callable[[Path], None]:
    """A change to fields of the JSON in the metadata; a dotted path is written with two underscores."""

    def change(_tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        content = json.loads(metadata[METADATA_KEY])
        for place, value in changes.items():
            target = content
            *parents, last = place.split("__")
            for parent in parents:
                target = target[parent]
            target[last] = value
        metadata[METADATA_KEY] = json.dumps(content)

    return rewrite(change)


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda p: p.write_bytes(b""), "not a safetensors file"),
    "text": (lambda p: p.write_text("safety: 1"), "not a safetensors file"),
    "pickle": (lambda p: torch.save({"directions": torch.ones(4, 32)}, p), "not a safetensors file"),
    "cut short": (lambda p: p.write_bytes(p.read_bytes()[:-7]), "not a safetensors file"),
    "cut in the header": (lambda p: p.write_bytes(p.read_bytes()[:40]), "not a safetensors file"),
    "header of 2^60 bytes": (lambda p: p.write_bytes(struct.pack("<Q", 1 << 60) + b"{}"), "not a safetensors file"),
    "a model's weights": (lambda p: save_file({"directions": torch.ones(4, 32)}, p), "not a Trimtab vector"),
    "no such tensor": (rewrite(lambda t, m: t.update(other=t.pop("directions"))), "found 'other'"),
    "a tensor too many": (
        rewrite(lambda t, m: t.update(extra=torch.ones(2))),
        "found 'directions', 'extra'|'extra', 'dir",
    ),
    "half precision": (rewrite(lambda t, m: t.update(directions=t["directions"].half())), "found torch.float16"),
    "one dimension": (rewrite(lambda t, m: t.update(directions=t["directions"][0].clone())), r"of shape \(32,\)"),
    "not a number": (rewrite(lambda t, m: t["directions"].fill_(torch.nan)), "infinite or undefined"),
    "a layer too few": (
        rewrite(lambda t, m: t.update(directions=t["directions"][1:].clone())),
        "entries for 3 directions",
    ),
    "another width": (
        rewrite(lambda t, m: t.update(directions=t["directions"][:, 1:].clone())),
        "directions have width 31",
    ),
    "newer format": (edit(format_version="2", novelty=1), "format version '2', this Trimtab reads '1'"),
    "other metadata": (rewrite(lambda t, m: m.update(format=m.pop(METADATA_KEY))), r"lack 'trimtab.*', have 'format'"),
    "broken JSON": (rewrite(lambda t, m: m.update({METADATA_KEY: m[METADATA_KEY][:-3]})), "damaged metadata"),
    "deep JSON": (rewrite(lambda t, m: m.update({METADATA_KEY: "[" * 100_000})), "damaged metadata"),
    "an unknown field": (edit(run="rm -rf"), "damaged metadata"),
    "layers as text": (edit(layers=["zero"]), "damaged metadata"),
    "repeated layers": (edit(layers=[0, 1, 1, 3]), "4 ascending layers"),
    "a layer that the model has not": (edit(layers=[0, 1, 2, 9]), "layers up to 9"),
    "negative layers": (edit(layers=[-1, 0, 1, 2], recommended_layers=[0]), "4 ascending layers"),
    "no recommended layers": (edit(recommended_layers=[]), "no recommended layers"),
    "foreign recommended layers": (edit(recommended_layers=[8]), "recommended layers out of"),
    "a short profile": (edit(profile__auroc=[0.5]), "auroc has 1 entries for 4"),
    "an infinite unit": (edit(unit=float("inf")), "damaged metadata"),
    "another model's width": (edit(origin__model__d_model=64), "speak of width 64"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_corrupt_or_hostile_file_is_refused_with_a_sentence(
    case: str, vector: SteeringVector, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.safetensors"
    vector.save(path)
    spoil, sentence = HOSTILE[case]
    spoil(path)
    with pytest.raises(SteeringError, match=sentence) as caught:
        SteeringVector.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


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


def test_interventions_gates_and_companions_survive_bit_for_bit(vector: SteeringVector, tmp_path: Path) -> None:
    gate = Gate(1, torch.randn(WIDTH), bias=0.25, curve="line", cosine=True, low=-1.0, high=3.0)
    companion = SteeringVector(torch.randn(2, WIDTH), layers=(0, 3), intervention="ablate", unit=-1.0)
    whole = replace(
        vector,
        intervention="rotate",
        site="attention",
        reference=torch.randn(vector.directions.shape),
        recommended_layers=(2,),
        scope="generated",
        gate=gate,
        companions=(
            companion,
            replace(companion, gate=Gate(0, torch.ones(2, WIDTH), tokens=(3, 1)), intervention="add"),
        ),
    )
    whole.save(tmp_path / "whole.safetensors")
    back = SteeringVector.load(tmp_path / "whole.safetensors")
    assert len(back.parts) == 3
    for ours, theirs in zip(whole.parts, back.parts, strict=True):
        for name in (
            "layers",
            "recommended_layers",
            "unit",
            "range",
            "scope",
            "intervention",
            "site",
            "origin",
            "profile",
        ):
            assert getattr(theirs, name) == getattr(ours, name), name
        assert torch.equal(theirs.directions, ours.directions)
        assert (theirs.reference is None) == (ours.reference is None)
        assert (theirs.gate is None) == (ours.gate is None)
    assert whole.reference is not None
    assert back.reference is not None
    assert torch.equal(back.reference, whole.reference)
    assert back.gate is not None
    assert torch.equal(back.gate.direction, gate.direction)
    assert [getattr(back.gate, name) for name in ("layer", "bias", "curve", "cosine", "low", "high")] == [
        1, 0.25, "line", True, -1.0, 3.0
    ]  # fmt: skip
    back.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert "does: rotate at attentions 2" in whole.describe()
