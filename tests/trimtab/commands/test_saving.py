"""A full disk costs a sentence and no work, whatever the command was writing."""

import io
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from steering import LanguageModel, Push, Slider, SteeringError, SteeringVector, load
from steering.formats import EXPORTS, MODEL_EXPORTS
from steering.recipes import balanced_pair
from tests.helpers.command_line import run
from tests.helpers.disks import read_only_folder, small_disk
from tests.helpers.gguf_files import write_gguf
from tests.helpers.known_vectors import of_model, pair_of
from tests.helpers.tiny import random_vector, tiny_lm
from trimtab import builtin_sliders
from trimtab.saving import save


class Terminal(io.StringIO):
    """What a user types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder of temporary files."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def fill(disk: Path) -> None:
    """Take all that is left."""
    with (disk / "full").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_on_a_terminal_another_path_is_asked_for_until_one_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vector = random_vector()
    monkeypatch.setattr(sys, "stdin", Terminal(f"{tmp_path}\n{tmp_path}/second\n"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert save(vector.save, "/no/folder/first") == tmp_path / "second"
    assert torch.equal(SteeringVector.load(tmp_path / "second").directions, vector.directions)
    told = capsys.readouterr().err
    assert "Can't write '/no/folder/first': the folder '/no/folder' doesn't exist" in told
    assert f"Can't write '{tmp_path}': it is a folder" in told


def test_without_a_terminal_it_is_kept_in_a_safe_place_that_the_error_names(safe: Path) -> None:
    vector = random_vector()
    with pytest.raises(
        SteeringError, match=r"Can't write '/no/folder/v': .* What was made is kept in '.*/v'\.$"
    ) as told:
        save(vector.save, "/no/folder/v")
    (kept,) = safe.glob("trimtab-*/v")
    assert str(told.value).endswith(f"'{kept}'.")
    assert torch.equal(SteeringVector.load(kept).directions, vector.directions)


def test_where_it_can_be_kept_nowhere_both_places_are_named_and_nothing_is_left(safe: Path) -> None:
    with small_disk(2**14) as disk:
        fill(disk)
        tempfile.tempdir = str(disk)
        with pytest.raises(SteeringError, match=r"Can't write '/no/folder/v': .* Nor could it be kept .* No space"):
            save(random_vector().save, "/no/folder/v")
        assert [path.name for path in disk.iterdir()] == ["full"]


def test_an_extraction_is_kept_when_the_disk_is_full(
    capsys: pytest.CaptureFixture[str], folder: Path, toy: Path, safe: Path
) -> None:
    with small_disk(2**14) as disk:
        fill(disk)
        code, _, error = run(capsys, "extract", toy, "-o", disk / "v.safetensors", "-m", folder)
        assert [path.name for path in disk.iterdir()] == ["full"]
    (kept,) = safe.glob("trimtab-*/v.safetensors")
    sentence = error.splitlines()[-1]
    assert code == 2
    assert sentence.startswith(f"Error: Can't write '{disk}/v.safetensors': ")
    assert "No space left on device" in sentence
    assert sentence.endswith(f"What was made is kept in '{kept}'.")
    assert SteeringVector.load(kept).layers == (0, 1, 2, 3)


@pytest.mark.parametrize("command", ["extract", "recipe", "select", "balanced", "calibrate", "evaluate", "compare"])
def test_a_place_without_the_right_to_write_is_told_before_the_model_is_loaded(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with read_only_folder() as place:
        arguments = {
            "extract": ["safety", "-o", place / "v"],
            "recipe": ["caa", "-o", place / "v"],
            "select": ["-o", place / "v"],
            "balanced": ["-o", place / "pair"],
            "calibrate": ["v", "-o", place / "v"],
            "evaluate": ["-o", place / "v"],
            "compare": ["--html", place / "v"],
        }[command]
        code, _, error = run(capsys, command, *arguments, "-m", "/no/model")
    assert code == 2
    assert "Permission denied; check the space left and your rights there" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("to", [*EXPORTS, *MODEL_EXPORTS, "hub"])
def test_exports_to_a_full_disk_are_one_sentence_and_leave_nothing(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, to: str
) -> None:
    vector = random_vector(1, (1, 2))
    if to == "orthogonalized":
        everywhere = SteeringVector(vector[1].expand_as(vector.directions))
        Slider((Push(everywhere, intervention="ablate"),)).save(tmp_path / "a.safetensors")
    else:
        of_model(vector).save(tmp_path / "a.safetensors")
    with small_disk(2**14) as disk:
        fill(disk)
        out = disk / "out.json"
        code, _, error = run(capsys, "export", tmp_path / "a.safetensors", "--to", to, "-o", out, "-m", folder)
        assert [path.name for path in disk.iterdir()] == ["full"]
    assert code == 2
    assert "Error: Can't write" in error
    assert "No space left on device" in error


def test_an_import_is_kept_when_the_disk_is_full(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, safe: Path
) -> None:
    EXPORTS["npz"](random_vector(), tmp_path / "v.npz")
    with small_disk(2**14) as disk:
        fill(disk)
        code, _, error = run(capsys, "import", tmp_path / "v.npz", "--from", "npz", "-o", disk / "v.safetensors")
    assert (code, len(list(safe.glob("trimtab-*/v.safetensors")))) == (2, 1)
    assert error.startswith("Error: Can't write")


def test_a_gguf_file_that_cannot_be_kept_converted_names_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_gguf(tiny_lm(), tmp_path / "tiny.gguf")
    with small_disk(2**14) as disk:
        monkeypatch.setenv("TRIMTAB_CACHE", str(disk))
        fill(disk)
        with pytest.raises(SteeringError, match=r"No space left on device; .* name another folder in TRIMTAB_CACHE"):
            load(file)
        assert {path.name for path in disk.rglob("*")} == {"full", "gguf"}
    monkeypatch.setenv("TRIMTAB_CACHE", str(file))
    with pytest.raises(SteeringError, match=r"Not a directory; .* name another folder in TRIMTAB_CACHE"):
        load(file)


def test_a_pair_and_a_plain_vector_that_cannot_be_kept_are_used_all_the_same(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(2**14) as disk:

        def made(*_args: object, **_options: object) -> dict[str, Slider]:
            fill(disk)
            return pair_of(lm.identity)

        monkeypatch.setenv("TRIMTAB_CACHE", str(disk))
        monkeypatch.setattr(balanced_pair, "balanced", made)
        with pytest.warns(UserWarning, match=r"pair is not kept for another time: .* No space left"):
            pair = balanced_pair.balanced_pair(lm)
        assert list(pair) == ["safety", "helpfulness"]
        assert balanced_pair.pair_at_hand(lm) == {}
        monkeypatch.setattr("steering.extract", lambda *_: random_vector(), raising=False)
        with pytest.warns(UserWarning, match=r"vector is not kept for another time: .* No space left"):
            slider = builtin_sliders.builtin_axis(lm, "safety")
        assert torch.equal(slider.pushes[0].vector.directions, random_vector().directions)
