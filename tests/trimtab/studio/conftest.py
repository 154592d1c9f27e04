"""One studio, and one browser, for all tests of a file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.helpers.tiny import random_vector, tiny_lm

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The studio over a tiny model with the axis `wit`."""
    from tests.helpers.studio_server import studio

    with studio(tiny_lm(), {"wit": random_vector()}) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    from tests.helpers.studio_browser import chromium

    with chromium() as browser:
        yield browser
