"""Both engines, for tests of what a server does whichever it has."""

import pytest

from tests.helpers.gguf_files import needs_llama_cpp
from tests.helpers.workers import EngineName


@pytest.fixture(scope="session", params=["transformers", pytest.param("llama.cpp", marks=needs_llama_cpp)])
def engine(request: pytest.FixtureRequest) -> EngineName:
    return request.param
