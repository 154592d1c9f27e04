"""Which sliders a command moves: the balanced pair, unless it is told others."""

from pathlib import Path

import pytest

from steering import LanguageModel, SteeringError, extract
from steering.recipes import balanced_pair
from steering.vectors.slider import Slider
from tests.helpers.chat_templates import QWEN3
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.known_vectors import pair_of
from tests.helpers.tiny import random_vector, save_folder, tiny_lm
from trimtab.options import ModelOptions, VectorOptions, template_arguments


@pytest.fixture(autouse=True)
def pair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lm: LanguageModel) -> dict[str, Slider]:
    """What the recipe makes here; an empty cache folder."""
    sliders = pair_of(lm.identity)
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(balanced_pair, "balanced", lambda lm, **options: sliders)
    return sliders


def test_without_a_vector_it_is_the_balanced_pair_whose_making_is_told_once(
    lm: LanguageModel, capsys: pytest.CaptureFixture[str]
) -> None:
    for told in (f"Making the independent pair for tiny-Llama once; kept in {balanced_pair.pair_folder(lm)}.\n", ""):
        sliders = VectorOptions().sliders(lm)
        assert list(sliders) == ["safety", "helpfulness"]
        assert sliders["safety"].range == (0.0, 1.0)
        assert capsys.readouterr().err == told


def test_plain_vectors_are_one_word_away_and_mix_with_the_pair_and_with_files(
    lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = extract(lm, prompt_pairs(10), progress=False)
    monkeypatch.setattr("steering.extract", lambda lm, contrast_set: plain, raising=False)
    random_vector().save(tmp_path / "mood.safetensors")
    entries = ["safety=plain", "helpfulness=balanced", f"mood={tmp_path}/mood.safetensors"]
    sliders = VectorOptions(entries).sliders(lm)
    assert sliders["safety"].range == (-1.0, 1.0)
    assert sliders["safety"].title == "toy"
    assert sliders["helpfulness"].range == (0.0, 1.0)
    assert list(sliders) == ["safety", "helpfulness", "mood"]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("mood", "Expected NAME=FILE"),
        ("my-mood=file", "Expected NAME=FILE"),
        ("mood=plain", "There is no plain axis 'mood'; choose from 'safety', 'helpfulness'."),
        ("mood=balanced", "There is no balanced axis 'mood'"),
    ],
)
def test_an_entry_that_names_nothing_is_refused(lm: LanguageModel, entry: str, sentence: str) -> None:
    with pytest.raises(SteeringError, match=sentence):
        VectorOptions([entry]).sliders(lm)


DEEP = "[" * 100_000


def test_template_arguments_are_json_where_they_can_be_and_else_text() -> None:
    entries = [
        "enable_thinking=false",
        "reasoning_effort=high",
        "date=1 May 2025",
        "budget=3",
        'a=["b=c"]',
        "b=",
        f"deep={DEEP}",
        "far=1e999",
    ]
    assert template_arguments(entries) == {
        "enable_thinking": False,
        "reasoning_effort": "high",
        "date": "1 May 2025",
        "budget": 3,
        "a": ["b=c"],
        "b": "",
        "deep": DEEP,
        "far": "1e999",
    }
    for entry in ("enable_thinking", "=false", "enable thinking=false"):
        with pytest.raises(SteeringError, match=f"Expected NAME=VALUE, such as enable_thinking=false, found '{entry}'"):
            template_arguments([entry])


def test_they_reach_the_model(tmp_path: Path) -> None:
    folder = str(save_folder(tiny_lm(chat_template=QWEN3), tmp_path))
    lm = ModelOptions(model=folder, template=["enable_thinking=false"]).load()
    assert lm.template == {"enable_thinking": False}
    assert lm.tokenizer.decode(lm.tokenize("Hi").ids).endswith("</think>\n\n")
    assert ModelOptions(model=folder).load().template == {}
