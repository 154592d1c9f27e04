"""Fixtures: tiny models for exact properties; the embedded real model for tests marked `real`."""

from collections.abc import Iterator

import pytest
import torch

from steering import LanguageModel, load
from tests.helpers.tiny import tiny_lm


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
