"""Fixtures: tiny models, the embedded real model for tests marked `real`, and the names that docstring examples use."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from steering import LanguageModel, Sliders, load
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.tiny import random_vector, tiny_lm

collect_ignore_glob = ["tests/consumers/*_logits.py", "tests/consumers/*_scores.py", "probes/lm_eval.py"]
"""What other Pythons run."""
collect_ignore = [] if find_spec("llama_cpp") else ["steering/serving/llama_cpp/steered_llama.py"]
"""A subclass of what isn't installed."""


@pytest.fixture(autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """One thread for tiny models: more only wait for each other, many times as long where cores are shared."""
    before = torch.get_num_threads()
    if request.node.get_closest_marker("real") is None:
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def lm() -> LanguageModel:
    return tiny_lm()


@pytest.fixture(scope="session")
def smollm2() -> LanguageModel:
    return load("smollm2-135m-instruct")


@pytest.fixture(scope="session", autouse=True)
def example_names(doctest_namespace: dict[str, Any]) -> None:
    """What the examples in docstrings use without an import."""
    names = {"lm": tiny_lm(), "vector": random_vector(), "pairs": prompt_pairs(20), "Sliders": Sliders, "torch": torch}
    doctest_namespace.update(names)
