"""`trimtab export` as a user meets it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from steering import Sliders, load
from steering.formats.control_vector import from_gguf
from tests.helpers.command_line import run
from tests.helpers.known_vectors import of_model
from tests.helpers.tiny import random_vector, save_folder, tiny_lm


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("safety", "helpfulness")}
    of_model(random_vector(1, (1, 2))).save(paths["safety"])
    of_model(random_vector(2, (2, 3))).save(paths["helpfulness"])
    return paths


def test_a_setting_is_one_file_and_each_slider_one_of_its_own(
    capsys: pytest.CaptureFixture[str], files: dict[str, Path], tmp_path: Path
) -> None:
    both = [*files.values(), "--to", "gguf", "--slider", "safety=0.8", "--slider", "helpfulness=-0.5"]
    code, printed, _ = run(capsys, "export", *both, "--out", tmp_path / "x.gguf")
    assert code == 0
    assert "Written to" in printed
    a, b = random_vector(1), random_vector(2)
    torch.testing.assert_close(from_gguf(tmp_path / "x.gguf")[2], 0.8 * a[2] - 0.5 * b[2])
    assert run(capsys, "export", *both, "--each", "--out", tmp_path / "each")[0] == 0
    assert sorted(path.name for path in (tmp_path / "each").iterdir()) == ["helpfulness.gguf", "safety.gguf"]
    torch.testing.assert_close(from_gguf(tmp_path / "each" / "helpfulness.gguf")[3], -0.5 * b[3])


def test_layers_can_be_chosen_where_a_format_lacks_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    of_model(random_vector(1, (0, 1))).save(tmp_path / "v.safetensors")
    code, _, error = run(capsys, "export", tmp_path / "v.safetensors", "--to", "gguf", "-o", tmp_path / "x.gguf")
    assert (code, error.count("\n")) == (2, 1)
    assert "can't reach the output of block 0" in error
    command = ("export", tmp_path / "v.safetensors", "--to", "gguf", "-o", tmp_path / "x.gguf", "--layers", "1-2")
    assert run(capsys, *command)[0] == 0
    assert from_gguf(tmp_path / "x.gguf").layers == (1, 2)


def test_a_vector_that_does_not_know_its_model_needs_a_model_type(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    random_vector().save(tmp_path / "v.safetensors")
    command = ("export", tmp_path / "v.safetensors", "--to", "repeng", "-o", tmp_path / "x.gguf")
    code, _, error = run(capsys, *command)
    assert code == 2
    assert "--model-type llama" in error
    assert run(capsys, *command, "--model-type", "llama")[0] == 0


def test_a_baked_model_loads(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = save_folder(tiny_lm(), tmp_path / "model")
    of_model(random_vector(1, (1, 2)), load(folder).identity).save(tmp_path / "v.safetensors")
    command = ("export", tmp_path / "v.safetensors", "--to", "baked", "-o", tmp_path / "baked", "-m", folder)
    assert run(capsys, *command)[0] == 0
    bias = load(tmp_path / "baked").blocks[1].get_submodule("mlp.down_proj").bias
    assert torch.equal(bias, random_vector(1)[1])


def test_a_hub_folder_has_the_matrix_of_a_report(
    capsys: pytest.CaptureFixture[str], files: dict[str, Path], tmp_path: Path
) -> None:
    report: dict[str, Any] = {
        "model": tiny_lm().identity.model_dump(),
        "axes": {"safety": "a", "helpfulness": "b"},
        "versions": {},
        "settings": [{"safety": x, "helpfulness": y} for x in (-1, 0, 1) for y in (-1, 0, 1)],
        "scores": {
            "refusal": [[2.0 * x + k, 2.1 * x - k, 1.9 * x] for x in (-1, 0, 1) for _ in (-1, 0, 1) for k in (1.0,)],
            "margin": [[1.0 * y + k, 1.1 * y - k, 0.9 * y] for _ in (-1, 0, 1) for y in (-1, 0, 1) for k in (1.0,)],
        },
        "own": {"safety": "refusal", "helpfulness": "margin"},
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    command = ("export", *files.values(), "--to", "hub", "-o", tmp_path / "hub", "--report", tmp_path / "report.json")
    assert run(capsys, *command, "--base-model", "you/model")[0] == 0
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "| score | safety | helpfulness |" in card
    assert "| refusal | +" in card
    assert torch.equal(Sliders.from_pretrained(tmp_path / "hub")["safety"].pushes[0].vector[1], random_vector(1)[1])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("export", "{v}", "--to", "word", "-o", "{out}"), "There is no export 'word'"),
        (("export", "{v}", "--to", "gguf", "-o", "{out}", "--slider", "safety"), "Expected NAME=VALUE"),
        (("export", "{v}", "--to", "gguf", "-o", "{out}", "--slider", "honesty=1"), "no axis 'honesty'"),
        (("export", "{v}", "{v}", "--to", "gguf", "-o", "{out}"), "a name of its own for each vector"),
        (("export", "{v}", "--to", "hub", "-o", "{out}", "--each"), "leave out --slider, --each"),
        (("export", "{v}", "--to", "baked", "-o", "{out}", "--each"), "leave out --each"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, _, error = run(capsys, *(entry.format(v=files["safety"], out=out) for entry in arguments))
    assert code == 2
    assert said in error
    assert not out.exists()
