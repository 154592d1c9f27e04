"""The artifact on disk: bit for bit there and back, and nothing else gets in."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from steering import LanguageModel, Push, Slider, Sliders, SteeringError, SteeringVector
from steering.atomic_write import atomic_write
from steering.interventions.gates import Gate
from steering.vectors import file_format
from steering.vectors.slider import as_slider
from tests.helpers.forward_passes import logits
from tests.helpers.known_vectors import CALIBRATION, DOSE, RECOGNITION, TRIALS
from tests.helpers.tiny import LAYERS, WIDTH, random_vector, tiny_lm


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


def test_dose_trials_and_what_a_gate_reads_survive_bit_for_bit(tmp_path: Path) -> None:
    gate = Gate(0, torch.ones(WIDTH), bias=0.1, reads="harmlessness", threshold=1 / 3)
    slider = Slider((Push(random_vector(), gate=gate),), dose=DOSE, trials=TRIALS, recognition=RECOGNITION)
    slider.save(tmp_path / "slider")
    back = Slider.load(tmp_path / "slider")
    assert (back.dose, back.trials, back.summary()) == (DOSE, TRIALS, slider.summary())
    assert back.recognition == RECOGNITION
    read = back.pushes[0].gate
    assert read is not None
    assert (read.reads, read.threshold, read.bias) == ("harmlessness", 1 / 3, 0.1)
    back.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "slider").read_bytes()


@pytest.mark.parametrize("measured", [{"dose": DOSE}, {"trials": TRIALS}, {"recognition": RECOGNITION}])
def test_a_vector_with_something_measured_is_no_vectors_file(measured: dict[str, Any], tmp_path: Path) -> None:
    as_slider(random_vector()).save(tmp_path / "plain")
    random_vector().save(tmp_path / "vector")
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "vector").read_bytes()
    replace(as_slider(random_vector()), **measured).save(tmp_path / "measured")
    back = Slider.load(tmp_path / "measured")
    assert {name: getattr(back, name) for name in measured} == measured


def test_a_file_of_before_doses_loads_without_them(tmp_path: Path) -> None:
    gate = Gate(0, torch.ones(WIDTH), bias=0.1)
    slider = Slider((Push(random_vector(), gate=gate),), (0.0, 2.0), CALIBRATION)
    slider.save(tmp_path / "new")
    record, tensors = file_format.read_file(tmp_path / "new")
    content = record.model_dump()
    for name in ("dose", "trials", "recognition"):
        del content["slider"][name]
    for name in ("reads", "threshold"):
        del content["slider"]["pushes"][0]["gate"][name]
    save_file(tensors, tmp_path / "old", metadata={file_format.METADATA_KEY: json.dumps(content)})
    Slider.load(tmp_path / "old").save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "new").read_bytes()
