"""Layers as text, and plain axes that are made once and kept for the model that they belong to."""

from pathlib import Path
from typing import Any

import pytest
import torch

from steering import LanguageModel, SteeringError, SteeringVector
from tests.helpers.known_vectors import of_model
from tests.helpers.tiny import random_vector, tiny_lm
from trimtab.builtin_sliders import builtin_axis, parse_layers


def test_layers_are_numbers_and_ranges() -> None:
    assert parse_layers("3") == [3]
    assert parse_layers("10-12, 20,7-7") == [10, 11, 12, 20, 7]
    assert parse_layers(None) is None


@pytest.mark.parametrize(
    "text",
    ["", "a", "1,", "1-2-3", "-1", "1--2", "٣", "12-10", "9" * 5, "0-99999", "9" * 5000, "0-" + "9" * 5000, "1_0"],
)
def test_other_layers_are_one_sentence(text: str) -> None:
    with pytest.raises(SteeringError, match=r"Expected layers such as 12 or 10-15,20") as raised:
        parse_layers(text)
    assert len(str(raised.value)) < 300


@pytest.fixture
def extracted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """Model and contrast set of every extraction, with an empty cache folder."""
    made: list[tuple[str, str]] = []

    def extract(lm: LanguageModel, contrast_set: Any) -> SteeringVector:
        made.append((lm.identity.key, contrast_set.name))
        return of_model(random_vector(len(made)), lm.identity)

    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("steering.extract", extract, raising=False)
    return made


def test_an_axis_is_made_once_for_each_model_and_set(extracted: list[tuple[str, str]]) -> None:
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    models = [tiny_lm(), tiny_lm(seed=1), tiny_lm(system_prompt="Be brief."), tiny_lm(chat_template=template)]
    first = [builtin_axis(lm, name) for lm in models for name in ("safety", "helpfulness")]
    again = [builtin_axis(lm, name) for lm in models for name in ("safety", "helpfulness")]
    assert len(extracted) == len(set(extracted)) == 8
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.pushes[0].vector.directions, other.pushes[0].vector.directions)


def test_an_axis_heals(extracted: list[tuple[str, str]], tmp_path: Path) -> None:
    builtin_axis(tiny_lm(), "safety")
    (file,) = (tmp_path / "cache" / "vectors").iterdir()
    for content in (b"", file.read_bytes()[:-7]):
        file.write_bytes(content)
        builtin_axis(tiny_lm(), "safety")
        builtin_axis(tiny_lm(), "safety")
    assert len(extracted) == 3


def test_an_axis_of_weights_with_the_same_signs_is_made_anew(extracted: list[tuple[str, str]]) -> None:
    """Only the key leaves the sizes out, which rounding changes; whose axis it is, its file says."""
    lm, scaled = tiny_lm(), tiny_lm()
    with torch.no_grad():
        for parameter in scaled.model.parameters():
            parameter.mul_(2)
    assert lm.identity.key == scaled.identity.key
    for model in (lm, scaled):
        builtin_axis(model, "safety").check(model.identity)
    assert len(extracted) == 2
