"""Profiles: shipped and of one's own, and what each setting of a slider is in the end."""

import json
from pathlib import Path

import pytest

from steering import Slider, SteeringError
from tests.helpers.command_line import run
from tests.helpers.known_vectors import slider_of
from tests.helpers.tiny import random_vector, save_folder, tiny_lm
from trimtab.profiles import load_profiles, profile_values

OWN = """
[nurses]
context = "Nurses on a ward."
priorities = ["helpful", "harmless"]
sliders = { safety = 0.25 }
risk = "Doses are answered."
"""
SHIPPED_PAIRS = [path for path in Path("vectors").iterdir() if path.is_dir()]


@pytest.mark.parametrize("folder", SHIPPED_PAIRS, ids=lambda folder: folder.name)
def test_shipped_profiles_stay_within_the_ranges_of_the_shipped_pairs(folder: Path) -> None:
    sliders = {axis: Slider.load(folder / f"{axis}.safetensors") for axis in ("safety", "helpfulness")}
    profiles = load_profiles()
    assert list(profiles) == ["children", "general", "security-research"]
    for name in profiles:
        assert set(profile_values(name, profiles, sliders)) == set(sliders)


def test_priorities_and_values_say_the_same() -> None:
    for profile in load_profiles().values():
        harmless_first = profile.priorities.index("harmless") < profile.priorities.index("helpful")
        assert harmless_first == (profile.sliders["safety"] > profile.sliders["helpfulness"])


def test_a_file_adds_profiles_and_replaces_shipped_ones(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN + OWN.replace("nurses", "general"))
    profiles = load_profiles(path)
    assert list(profiles) == ["children", "general", "security-research", "nurses"]
    assert profiles["general"] == profiles["nurses"] != load_profiles()["general"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[nurses", "is no TOML"),
        (OWN.replace("risk", "risks"), "nurses.risk"),
        (OWN.replace('"harmless"', '"helpful"'), "every priority has one place"),
        (OWN.replace('"harmless"', '"harmles"'), "nurses.priorities.1"),
        (OWN.replace("0.25", "nan"), "nurses.sliders.safety"),
        ("safety = 1", "field 'safety'"),
        (f"x = {'[' * 5000}", "is no TOML"),
        (f"x = {'9' * 5000}", "is no TOML: Exceeds the limit"),
    ],
)
def test_what_is_no_profile_is_refused_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(SteeringError, match=sentence):
        load_profiles(path)


def test_a_profile_is_refused_where_its_sliders_are_not() -> None:
    profiles = load_profiles()
    safety, helpfulness = (slider_of(random_vector(seed), (0.0, 1.0)) for seed in (1, 2))
    with pytest.raises(SteeringError, match="no profile 'child'; choose from 'children', 'general'"):
        profile_values("child", profiles, {"safety": safety, "helpfulness": helpfulness})
    with pytest.raises(SteeringError, match="no axis 'helpfulness'"):
        profile_values("children", profiles, {"safety": safety})
    narrow = {"safety": slider_of(random_vector(1), (0.0, 0.5)), "helpfulness": helpfulness}
    with pytest.raises(SteeringError, match=r"'children' wants safety 1, outside its range 0 to 0\.5 here"):
        profile_values("children", profiles, narrow)
    assert profile_values("general", profiles, narrow) == {"safety": 0.5, "helpfulness": 0.5}


def test_generate_and_chat_start_from_the_profile_and_given_values_win(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_folder(tiny_lm(), tmp_path / "model")
    vectors: list[object] = []
    for seed, axis in enumerate(("safety", "helpfulness")):
        random_vector(seed).save(tmp_path / f"{axis}.safetensors")
        vectors += ["-v", f"{axis}={tmp_path}/{axis}.safetensors"]
    command = ("generate", "Hi", "-m", folder, *vectors, "--max-new-tokens", 1, "--json")

    def settings(*more: object) -> object:
        code, printed, _ = run(capsys, *command, *more)
        assert code == 0
        return json.loads(printed)["settings"]

    assert settings("--profile", "children") == {"safety": 1.0, "helpfulness": 0.0}
    assert settings("--profile", "children", "--safety", 0) == {"safety": 0.0, "helpfulness": 0.0}
    assert settings("--profile", "general", "--slider", "helpfulness=-1") == {"safety": 0.5, "helpfulness": -1.0}
    (tmp_path / "own.toml").write_text(OWN)
    own = ("--profiles", tmp_path / "own.toml", "--profile", "nurses")
    assert settings(*own) == {"safety": 0.25, "helpfulness": 0.0}
    code, _, error = run(capsys, *command, "--profile", "child")
    assert (code, error.count("\n")) == (2, 1)
    monkeypatch.setattr("builtins.input", lambda *_: "/quit")
    printed = run(capsys, "chat", "-m", folder, *vectors, "--profile", "general", "--helpfulness", 0)[1]
    assert "safety +0.5" in printed
    assert "helpfulness +0 " in printed


def test_the_command_lists_all_that_a_profile_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN)
    code, printed, _ = run(capsys, "profiles", "--profiles", tmp_path / "own.toml", "--json")
    found = json.loads(printed)
    assert code == 0
    assert found["nurses"]["sliders"] == {"safety": 0.25}
    text = " ".join(run(capsys, "profiles")[1].split())
    for name in load_profiles():
        assert f"{name}: safety {found[name]['sliders']['safety']:g}" in text
        assert found[name]["context"] in text
        assert f"first: {', then '.join(found[name]['priorities'])}" in text
        assert found[name]["risk"] in text
