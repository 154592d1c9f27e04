"""Balanced sliders: each acts on its own prompts only, and both together do what each does alone."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from steering import ContrastSet, LanguageModel, Sliders
from steering.activations.recording import record_positions
from steering.recipes.balanced import END_MARKS, _read
from steering.recipes.prompt_probe import probed_tokens
from steering.scoring.next_token import next_token_log_probabilities
from tests.helpers.tiny import tiny_lm


@pytest.fixture(scope="module")
def small_sets() -> Iterator[pytest.MonkeyPatch]:
    """A few pairs of each built-in set: tiny models learn nothing from more."""
    patch = pytest.MonkeyPatch()
    whole = ContrastSet.builtin

    def some(name: str) -> ContrastSet:
        every = whole(name)
        return replace(every, pairs=every.pairs[::16], lines=every.lines[::16])

    patch.setattr(ContrastSet, "builtin", staticmethod(some))
    yield patch
    patch.undo()


@pytest.fixture(scope="module")
def balanced(small_sets: pytest.MonkeyPatch) -> tuple[LanguageModel, Sliders]:
    lm = tiny_lm(max_position_embeddings=2048)
    return lm, Sliders.balanced(lm, progress=False)


PROMPTS = [pair.positive[-1].content for pair in ContrastSet.builtin("safety").pairs[:30]] + [
    pair.positive[0].content for pair in ContrastSet.builtin("helpfulness").pairs[:30]
]


def opened(lm: LanguageModel, sliders: Sliders, axis: str) -> torch.Tensor:
    gate = sliders[axis].pushes[0].gate
    assert gate is not None
    positions = [f"prompt_end:{token}" for token in probed_tokens(lm)]
    states = record_positions(lm, PROMPTS, positions, layers=[gate.layer])[:, :, 0]
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


def test_half_of_the_pairs_end_without_a_mark_on_both_sides(small_sets: pytest.MonkeyPatch) -> None:
    lm = tiny_lm(max_position_embeddings=2048)
    prompts = _read(lm, [1], progress=False)
    marked = [chat[-1].content[-1] in END_MARKS for chat in prompts.chats]
    for chat, number, mark in zip(prompts.chats, prompts.pairs, marked, strict=True):
        assert chat[-1].content
        assert not (mark and number % 2)
    assert 0.4 < sum(marked) / len(marked) < 0.6
    assert len(set(prompts.pairs)) == max(prompts.pairs) + 1


def test_the_artifacts_say_what_they_were_made_from(balanced: tuple[LanguageModel, Sliders]) -> None:
    lm, sliders = balanced
    for name, slider in sliders.items():
        slider.check(lm.identity)
        assert slider.title == name
        assert slider.origin is not None
        assert slider.origin.recipe == "balanced"
        sets = {source.contrast_set for source in slider.origin.sources}
        assert {"safety", "look-alikes", "over-refusal"} <= sets
        assert ("helpfulness" in sets) == (name == "helpfulness")
    assert sliders["safety"].pushes[0].strength > 0
    assert sliders["helpfulness"].pushes[0].intervention == "lower_projection"
