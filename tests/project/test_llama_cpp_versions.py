"""The llama.cpp that is installed is the one whose structures were tested."""

import re

import pytest

from steering.models.llama_cpp.bindings import TESTED_VERSIONS
from tests.helpers.paths import ROOT


@pytest.mark.parametrize("place", ["pyproject.toml", "tests/consumers/environments.sh", "docs/llama-cpp.md"])
def test_a_pinned_llama_cpp_python_is_a_tested_one(place: str) -> None:
    pinned = re.findall(r"llama-cpp-python==([\d.]+)", (ROOT / place).read_text(encoding="utf-8"))
    assert pinned
    assert set(pinned) <= set(TESTED_VERSIONS)
