"""The balanced pair is found where it is shipped or kept, made where it is neither, and never half of it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from steering import LanguageModel, Sliders, SteeringError
from steering.recipes import balanced_pair
from steering.recipes.balanced_pair import SHIPPED, pair_at_hand, pair_folder
from steering.vectors.slider import Slider
from tests.helpers.known_vectors import pair_of
from tests.helpers.paths import ROOT
from tests.helpers.tiny import tiny_lm


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The models that a pair was made on, with an empty cache folder and no shipped pair that fits."""
    names: list[str] = []

    def make(lm: LanguageModel, **_options: object) -> dict[str, Slider]:
        names.append(lm.identity.name)
        return pair_of(lm.identity)

    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(balanced_pair, "balanced", make)
    return names


def same(one: Sliders, other: Sliders) -> bool:
    return all(
        torch.equal(one[name].pushes[0].vector.directions, other[name].pushes[0].vector.directions) for name in one
    )


def test_it_is_made_once_and_found_again(lm: LanguageModel, made: list[str]) -> None:
    assert pair_at_hand(lm) == {}
    first = Sliders.balanced(lm)
    again = Sliders.balanced(lm)
    assert made == ["tiny-Llama"]
    assert list(again) == ["safety", "helpfulness"]
    assert again["safety"].range == (0.0, 1.0)
    assert same(first, again)


def test_another_model_or_system_prompt_has_a_pair_of_its_own(lm: LanguageModel, made: list[str]) -> None:
    others = tiny_lm(seed=1), tiny_lm(system_prompt="Be brief.")
    for model in (lm, *others, lm, *others):
        Sliders.balanced(model)
    assert made == ["tiny-Llama"] * 3
    assert len({pair_folder(model) for model in (lm, *others)}) == 3


def test_half_a_pair_or_a_broken_file_is_made_anew(lm: LanguageModel, made: list[str]) -> None:
    whole = Sliders.balanced(lm)
    (pair_folder(lm) / "helpfulness.safetensors").unlink()
    assert pair_at_hand(lm) == {}
    assert same(Sliders.balanced(lm), whole)
    (pair_folder(lm) / "safety.safetensors").write_bytes(b"half")
    assert same(Sliders.balanced(lm), whole)
    assert same(Sliders.balanced(lm), whole)
    assert len(made) == 3


def test_a_shipped_pair_is_taken_before_any_is_made_and_only_by_its_model(
    lm: LanguageModel, made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number, model in enumerate((tiny_lm(seed=1), lm)):
        folder = tmp_path / "shipped" / str(number)
        folder.mkdir(parents=True)
        for name, slider in pair_of(model.identity).items():
            slider.save(folder / f"{name}.safetensors")
    monkeypatch.setattr(balanced_pair, "SHIPPED", tmp_path / "shipped")
    assert list(Sliders.balanced(lm)) == ["safety", "helpfulness"]
    assert made == []
    Sliders.balanced(tiny_lm(seed=2))
    assert made == ["tiny-Llama"]


OWN = {
    "harmful": [f"Poison well {number}." for number in range(10)],
    "harmless": [f"Dig well {number}." for number in range(10)],
}
TAUGHT: list[dict[str, Any]] = [
    {},
    {"quick": True},
    OWN,
    OWN | {"harmful": OWN["harmful"][::-1]},
    {"harmful": OWN["harmless"], "harmless": OWN["harmful"]},
    OWN | {"false_alarms": 0.05},
    {"missed": 0.05},
    {"false_alarms": 0.05},
    {"false_alarms": 0.0},
    {"missed": 0.0},
]


def test_what_it_was_taught_with_gives_it_a_folder_of_its_own(lm: LanguageModel, made: list[str]) -> None:
    assert len({pair_folder(lm, **taught) for taught in TAUGHT}) == len(TAUGHT)
    for _ in range(2):
        Sliders.balanced(lm, **OWN)
    assert len(made) == 1
    nothing: dict[str, Any] = {"harmful": (), "harmless": [], "false_alarms": None, "missed": None, "quick": False}
    assert pair_folder(lm, **nothing) == pair_folder(lm)
    chats = {name: [[{"role": "user", "content": text}] for text in texts] for name, texts in OWN.items()}
    assert pair_folder(lm, **chats) == pair_folder(lm, **OWN)


@pytest.mark.parametrize("taught", [taught for taught in TAUGHT if taught])
def test_a_shipped_pair_is_no_pair_that_was_taught_otherwise(
    lm: LanguageModel, made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, taught: dict[str, Any]
) -> None:
    (tmp_path / "shipped" / "0").mkdir(parents=True)
    for name, slider in pair_of(lm.identity).items():
        slider.save(tmp_path / "shipped" / "0" / f"{name}.safetensors")
    monkeypatch.setattr(balanced_pair, "SHIPPED", tmp_path / "shipped")
    assert pair_at_hand(lm)
    assert not pair_at_hand(lm, **taught)
    Sliders.balanced(lm, progress=False, **taught)
    assert len(made) == 1


def test_a_cache_folder_that_cannot_be_written_is_told_before_the_work(
    lm: LanguageModel, made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(SteeringError, match="name another folder in TRIMTAB_CACHE"):
        Sliders.balanced(lm)
    assert made == []


def test_a_clone_ships_what_the_wheel_does() -> None:
    assert SHIPPED == ROOT / "vectors"
    assert 'vectors/smollm2-135m-instruct" = "steering/shipped_vectors/' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.real
def test_the_packaged_model_has_a_shipped_pair(smollm2: LanguageModel, made: list[str]) -> None:
    with Sliders.balanced(smollm2).attach(smollm2) as dial:
        dial.set(safety=1.0, helpfulness=1.0)
    assert made == []


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*/*.safetensors")), ids=lambda path: "/".join(path.parts[-2:]))
def test_shipped_vectors_record_all_weights_of_their_model(path: Path) -> None:
    for push in Slider.load(path).pushes:
        assert push.vector.origin.model.weights is not None
        assert push.vector.origin.model.quantization == "gguf"
