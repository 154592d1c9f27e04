"""What the tests of vectors' files share."""

import pytest

from steering import LanguageModel, SteeringVector, extract
from tests.helpers.contrast_pairs import prompt_pairs


@pytest.fixture(scope="module")
def vector(lm: LanguageModel) -> SteeringVector:
    """An extracted vector, which knows its origin and profile."""
    return extract(lm, prompt_pairs(10), progress=False)
