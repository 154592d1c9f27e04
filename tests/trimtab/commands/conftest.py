"""What the commands run on: a tiny model's folder, vectors, a contrast set."""

from pathlib import Path

import pytest

from steering import extract, load
from tests.helpers.contrast_pairs import answer_pairs, prompt_pairs
from tests.helpers.tiny import random_vector, save_folder, tiny_lm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tiny_lm(), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that reads whole prompts of the built-in sets."""
    return save_folder(tiny_lm(max_position_embeddings=2048), tmp_path_factory.mktemp("big"))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    prompt_pairs(10).save(tmp_path / "toy.jsonl")
    return tmp_path / "toy.jsonl"


@pytest.fixture
def axes(tmp_path: Path) -> dict[str, Path]:
    """Files of two vectors."""
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("safety", "helpfulness")}
    random_vector(1).save(paths["safety"])
    random_vector(2).save(paths["helpfulness"])
    return paths


@pytest.fixture(scope="module")
def manners(big: Path) -> dict[str, Path]:
    """A contrast set of one's own, the vector that was made from it, and a set that it was not made from."""
    files = {"pairs": big / "manners.jsonl", "vector": big / "manners.safetensors", "other": big / "other.jsonl"}
    pairs = answer_pairs(20, alike=False)
    pairs.save(files["pairs"])
    answer_pairs(21, alike=False).save(files["other"])
    extract(load(str(big)), pairs, progress=False).save(files["vector"])
    return files
