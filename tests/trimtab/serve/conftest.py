"""Both engines, for tests of what a server does whichever it has."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.helpers.gguf_files import needs_llama_cpp
from tests.helpers.tiny import tiny_lm
from tests.helpers.workers import EngineName

if TYPE_CHECKING:
    from tests.helpers.api_server import Server


@pytest.fixture(scope="session", params=["transformers", pytest.param("llama.cpp", marks=needs_llama_cpp)])
def engine(request: pytest.FixtureRequest) -> EngineName:
    return request.param


@pytest.fixture(scope="module")
def server(engine: EngineName) -> Iterator["Server"]:
    from tests.helpers.api_server import KEY, serving
    from trimtab.serve.server import LOOPBACK_HOSTS

    with serving(engine, tiny_lm(), api_key=KEY, hosts=LOOPBACK_HOSTS) as server:
        yield server
