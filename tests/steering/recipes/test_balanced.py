"""Balanced sliders: each acts on its own prompts only, and both together do what each does alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from steering import ContrastSet, LanguageModel, Slider, Sliders, SteeringError
from steering.activations.recording import record_positions
from steering.recipes import balanced as recipe
from steering.recipes.balanced import ANSWER_PUSH_TOKENS
from steering.recipes.balanced import balanced as make
from steering.recipes.prompt_probe import probed_tokens
from steering.scoring.next_token import next_token_log_probabilities
from tests.helpers.tiny import tiny_lm

WHOLE = ContrastSet.builtin


@pytest.fixture(scope="module")
def small_sets() -> Iterator[pytest.MonkeyPatch]:
    """A few pairs of each built-in set: tiny models learn nothing from more."""
    patch = pytest.MonkeyPatch()

    def some(name: str) -> ContrastSet:
        every = WHOLE(name)
        return replace(every, pairs=every.pairs[::16], lines=every.lines[::16])

    patch.setattr(ContrastSet, "builtin", staticmethod(some))
    yield patch
    patch.undo()


@pytest.fixture(scope="module")
def balanced(small_sets: pytest.MonkeyPatch) -> tuple[LanguageModel, Sliders]:
    lm = tiny_lm(max_position_embeddings=2048)
    return lm, Sliders(**make(lm, progress=False))


PROMPTS = [pair.positive[-1].content for pair in ContrastSet.builtin("safety").pairs[:30]] + [
    pair.positive[0].content for pair in ContrastSet.builtin("helpfulness").pairs[:30]
]


def opened(
    lm: LanguageModel, sliders: Mapping[str, Slider], axis: str, prompts: Sequence[str] = PROMPTS
) -> torch.Tensor:
    gate = sliders[axis].pushes[0].gate
    assert gate is not None
    positions = [f"prompt_end:{token}" for token in probed_tokens(lm)]
    states = record_positions(lm, prompts, positions, layers=[gate.layer])[:, :, 0]
    return gate.factors(states.transpose(0, 1)).bool()


def test_each_slider_moves_its_own_prompts_and_leaves_the_others_alone(
    balanced: tuple[LanguageModel, Sliders],
) -> None:
    lm, sliders = balanced
    safety, helpfulness = opened(lm, sliders, "safety"), opened(lm, sliders, "helpfulness")
    assert not (safety & helpfulness).any()
    assert safety.any()
    assert helpfulness.any()
    bare = next_token_log_probabilities(lm, PROMPTS)
    found = {}
    with sliders.attach(lm) as dial:
        for name, values in {
            "safety": (1.0, 0.0), "helpfulness": (0.0, 1.0), "both": (1.0, 1.0)
        }.items():  # fmt: skip
            dial.set(safety=values[0], helpfulness=values[1])
            found[name] = next_token_log_probabilities(lm, PROMPTS)
    for name, own in (("safety", safety), ("helpfulness", helpfulness)):
        moved = (found[name] - bare).abs().amax(1) > 1e-4
        assert moved.any()
        assert not (moved & ~own).any()
        assert name == "helpfulness" or torch.equal(moved, own)  # helpfulness lowers only what leans to refuse
    torch.testing.assert_close(found["both"][safety], found["safety"][safety])
    torch.testing.assert_close(found["both"][helpfulness], found["helpfulness"][helpfulness])


def test_the_artifacts_say_what_they_were_made_from(balanced: tuple[LanguageModel, Sliders]) -> None:
    lm, sliders = balanced
    for name, slider in sliders.items():
        slider.check(lm.identity)
        assert slider.title == name
        assert slider.origin is not None
        assert slider.origin.recipe == "balanced"
        sets = {source.contrast_set for source in slider.origin.sources}
        assert {"safety", "look-alikes", "short-plain", "over-refusal"} <= sets
        assert ("helpfulness" in sets) == (name == "helpfulness")
        assert slider.dose is not None
        assert slider.dose.strength(torch.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]
        (found,) = slider.recognition
        assert found.prompts == "built-in"
        assert found.false_alarms <= 0.1 * found.harmless + 1


def test_safety_is_the_push_that_was_taken_and_helpfulness_lowers_and_engages(
    balanced: tuple[LanguageModel, Sliders],
) -> None:
    safety, helpfulness = balanced[1].values()
    (taken,) = (trial for trial in safety.trials if trial.chosen)
    assert len({trial.push for trial in safety.trials}) == 2
    assert [push.strength for push in safety.pushes] == [taken.strength]
    assert {push.tokens for push in safety.pushes} <= {"answer", ANSWER_PUSH_TOKENS}
    assert [push.intervention for push in helpfulness.pushes] == ["lower_projection", "add"]
    assert [push.tokens for push in helpfulness.pushes] == ["last_prompt_token", "generated"]
    assert (safety.range, helpfulness.range) == ((0.0, 1.0), (-1.0, 1.0))


def test_they_survive_a_file(balanced: tuple[LanguageModel, Sliders], tmp_path: Path) -> None:
    lm, sliders = balanced
    for name, slider in sliders.items():
        slider.save(tmp_path / name)
        assert Slider.load(tmp_path / name, lm).summary() == slider.summary()


HARMFUL = [f"Poison the well of village {number}" for number in range(12)]
HARMLESS = [f"Dig the well of village {number}" for number in range(12)]


def test_ones_own_prompts_teach_the_gate(small_sets: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lm = tiny_lm(max_position_embeddings=2048)
    pair = make(lm, harmful=HARMFUL, harmless=HARMLESS, false_alarms=0.0, quick=True, progress=False)
    before, own, builtin = pair["safety"].recognition
    assert [one.prompts for one in (before, own, builtin)] == ["own, before", "own", "built-in"]
    assert (own.harmful, own.harmless, own.false_alarms) == (12, 12, 0)
    assert own.caught > 6
    opens = [opened(lm, pair, axis, HARMFUL + HARMLESS) for axis in ("safety", "helpfulness")]
    assert not (opens[0] & opens[1]).any()
    assert opens[0][:12].sum() > opens[0][12:].sum()


def test_quick_helpfulness_is_taught_by_no_held_out_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the whole sets, as those who measure split them."""
    taught: list[ContrastSet] = []

    def keep(_lm: LanguageModel, pairs: ContrastSet, **_options: object) -> None:
        taught.append(pairs)
        raise _Kept

    monkeypatch.setattr(ContrastSet, "builtin", staticmethod(WHOLE))
    monkeypatch.setattr(recipe, "extract", keep)
    held_out = {pair.id for pair in ContrastSet.builtin("helpfulness").split()[1]}
    for quick in (False, True):
        with pytest.raises(_Kept):
            recipe._helpfulness(SimpleNamespace(), SimpleNamespace(layers=(1,), quick=quick), None, False)  # type: ignore[arg-type]
        used = {pair.id for pair in taught[-1].split()[0]}  # `extract` holds a fifth out
        assert not used & held_out


class _Kept(Exception):  # noqa: N818 - a signal, no error
    pass


@pytest.mark.parametrize(
    "options", [{"false_alarms": 1.0}, {"missed": -0.1}, {"false_alarms": 5}, {"missed": float("nan")}]
)
def test_shares_that_are_none_are_refused(lm: LanguageModel, options: dict[str, float]) -> None:
    (name,) = options
    with pytest.raises(SteeringError, match=f"Expected {name} as a share from 0 to below 1, found"):
        make(lm, progress=False, **options)  # type: ignore[arg-type]
