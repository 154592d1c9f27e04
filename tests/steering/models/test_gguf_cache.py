"""A GGUF file's cached folder is read while it is whole, and made anew when something was cut or taken from it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from steering import SteeringError, load
from steering.models import gguf
from steering.models.gguf import converted_folder
from tests.helpers.gguf_files import write_gguf
from tests.helpers.tiny import tiny_lm


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    return write_gguf(tiny_lm(), tmp_path / "x.gguf")


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    made: list[object] = []
    convert = gguf._convert
    monkeypatch.setattr(gguf, "_convert", lambda *given: made.append(given[1]) or convert(*given))
    return made


def cut(name: str, size: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:size])

    return change


DAMAGE: dict[str, Callable[[Path], object]] = {
    "weights cut": cut("model.safetensors", -7),
    "weights empty": cut("model.safetensors", 0),
    "weights gone": lambda folder: (folder / "model.safetensors").unlink(),
    "configuration gone": lambda folder: (folder / "config.json").unlink(),
    "configuration cut": cut("config.json", 40),
    "tokenizer cut": cut("tokenizer.json", 40),
    "generation settings gone": lambda folder: (folder / "generation_config.json").unlink(),
    "a file more": lambda folder: (folder / "model-2.safetensors").write_bytes(b""),
    "everything gone": lambda folder: [file.unlink() for file in folder.iterdir()],
    "the list gone": lambda folder: (folder / gguf._FILES).unlink(),
    "the list cut": cut(gguf._FILES, 10),
    "the list of something else": lambda folder: (folder / gguf._FILES).write_text("[" * 5000),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_folder_is_made_anew(damage: str, file: Path, conversions: list[object]) -> None:
    ids = torch.tensor([[9, 8, 7]])
    with torch.inference_mode():
        logits = load(file).model(input_ids=ids).logits
        load(file)
        assert len(conversions) == 1
        DAMAGE[damage](converted_folder(file))
        assert torch.equal(load(file).model(input_ids=ids).logits, logits)
        load(file)
    assert len(conversions) == 2
    folder = converted_folder(file)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_folder_holds_one_files_content_in_one_dtype(file: Path, tmp_path: Path, conversions: list[object]) -> None:
    other = write_gguf(tiny_lm(seed=1), tmp_path / "other.gguf")
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(file.read_bytes())
    dtypes = (None, torch.float32, torch.bfloat16)
    folders = {converted_folder(each, dtype) for each in (file, other, copy) for dtype in dtypes}
    assert len(folders) == len(conversions) == 6  # the copy shares those of the file


def test_a_file_without_some_of_its_weights_is_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers would fill them with random numbers, and say so in a warning."""
    content = file.read_bytes()
    name = b"blk.1.ffn_up.weight"
    assert content.count(name) == 1
    file.write_bytes(content.replace(name, b"blk.1.ffn_XX.weight"))
    with pytest.raises(SteeringError, match=r"weights of the model in 'x\.gguf', found 1 missing.*layers\.1\.mlp"):
        load(file)
    assert not list((tmp_path / "cache" / "gguf").iterdir())
