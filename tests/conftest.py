"""Fixtures: tiny models for exact properties; the embedded real model for tests marked `real`."""

import pytest
from tiny import tiny_lm

from steering import LanguageModel, load


@pytest.fixture(scope="session")
def lm() -> LanguageModel:
    return tiny_lm()


@pytest.fixture(scope="session")
def smollm2() -> LanguageModel:
    return load("smollm2-135m-instruct")
