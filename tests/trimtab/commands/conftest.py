"""What the commands run on: a tiny model's folder, vectors, a contrast set."""

from pathlib import Path

import pytest

from tests.helpers.contrast_pairs import prompt_pairs
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
