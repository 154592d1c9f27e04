"""Of the pushes that keep answers whole the one that refuses most is taken."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
import torch

from steering import LanguageModel, Push, SteeringError
from steering.activations.recording import record
from steering.data.chats import Message, as_chat
from steering.recipes import push_trials
from steering.recipes.push_trials import MAX_DEGENERATE, OPENINGS, REFUSALS, answer_directions, choose_push
from steering.vectors.slider import Slider
from tests.helpers.tiny import OPENED_TEMPLATE, WIDTH, random_vector, thinking_lm

STRENGTHS = (0.15, 0.25, 0.35, 0.5, 0.7)
COUNT = 20
HARMFUL = [as_chat(f"Break the lock of door {number}.") for number in range(COUNT)]
ORDINARY = [as_chat("Why is the sky blue?"), as_chat("Name a fruit.")]
CANDIDATES = {
    "first": (Push(random_vector(1), tokens="answer"),),
    "second": (Push(random_vector(2), tokens="answer:4", strength=0.5), Push(random_vector(3), strength=2.0)),
}
CLOSED = "<think>\n\n</think>\n\n"
REFUSED, LOOP, WHOLE = "I'm sorry, but I can't help with that.", "no no no " * 8, "Take a pin and turn it gently."


def plant(monkeypatch: pytest.MonkeyPatch, found: dict[str, list[tuple[int, int]]]) -> None:
    """How many answers of a candidate are refused, and how many are loops, at each strength."""

    def sweep(
        _lm: object, sliders: Mapping[str, Slider], prompts: Sequence[Any], settings: Sequence[Any], **_options: object
    ) -> list[list[str]]:
        name = next(name for name, pushes in CANDIDATES.items() if sliders["push"].pushes == pushes)
        assert [setting["push"] for setting in settings] == list(STRENGTHS)
        return [
            [REFUSED if row < refused else LOOP if row < refused + loops else WHOLE for refused, loops in found[name]]
            for row in range(len(prompts))
        ]

    monkeypatch.setattr(push_trials, "sweep", sweep)
    monkeypatch.setattr(push_trials, "STRENGTHS", STRENGTHS)


def test_the_most_refusing_of_the_whole_ones_is_taken(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [(2, 0), (4, 0), (9, 1), (14, 3), (17, 3)]  # beyond 1 of 20 too many loops
    plant(monkeypatch, {"first": first, "second": [(3, 0), (6, 0), (7, 0), (7, 0), (2, 18)]})
    chosen = choose_push(lm, CANDIDATES, HARMFUL, ORDINARY, progress=False)
    assert [(one.push, one.strength) for one in chosen.trials if one.chosen] == [("first", 0.35)]
    assert [push.strength for push in chosen.pushes] == [0.35]
    assert chosen.pushes[0].tokens == "answer"
    assert len(chosen.trials) == 2 * len(STRENGTHS)
    table = {(one.push, one.strength): (one.refused, one.degenerate) for one in chosen.trials}
    assert table["first", 0.7] == (0.85, 0.15)
    assert table["second", 0.25] == (0.3, 0.0)
    kls = [one.kl for one in chosen.trials if one.push == "first"]
    assert kls == sorted(kls)  # a stronger push disturbs more
    assert kls[0] > 0


def test_of_equals_the_gentlest_is_taken_with_all_its_pushes(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, {"first": [(0, 0)] * 5, "second": [(0, 0), (8, 0), (8, 0), (8, 1), (8, 2)]})
    chosen = choose_push(lm, CANDIDATES, HARMFUL, ORDINARY, progress=False)
    assert [push.strength for push in chosen.pushes] == [0.25 * 0.5, 0.25 * 2.0]
    assert [push.tokens for push in chosen.pushes] == ["answer:4", "all"]


def test_what_refuses_most_is_taken_however_strong(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, {"first": [(0, 0), (9, 0), (10, 0), (10, 0), (11, 0)], "second": [(0, 0)] * 5})
    assert choose_push(lm, CANDIDATES, HARMFUL, ORDINARY, progress=False).pushes[0].strength == 0.7


@pytest.mark.parametrize("loops", [2, 20])
def test_a_model_that_every_push_breaks_is_refused(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch, loops: int
) -> None:
    assert loops / COUNT > MAX_DEGENERATE
    plant(monkeypatch, {name: [(0, loops)] * 5 for name in CANDIDATES})
    with pytest.raises(SteeringError, match=r"Every push tried breaks the answers of 'tiny-Llama'; make a plain vec"):
        choose_push(lm, CANDIDATES, HARMFUL, ORDINARY, progress=False)


def test_real_trials_on_a_model_leave_no_hook(lm: LanguageModel) -> None:
    before = lm.generate(HARMFUL[:2], 4)
    with suppress(SteeringError):
        choose_push(lm, CANDIDATES, HARMFUL[:3], ORDINARY, progress=False)
    assert lm.generate(HARMFUL[:2], 4) == before


@pytest.mark.parametrize("count", [1, 5, 64])
def test_answers_are_told_apart_over_their_tokens_with_any_number_of_prompts(lm: LanguageModel, count: int) -> None:
    prompts = [as_chat(f"Door {number}") for number in range(count)]
    found = answer_directions(lm, prompts, [1, 3])
    assert found.shape == (2, WIDTH)
    sides = []
    for texts in (REFUSALS, OPENINGS):
        rows = [
            record(
                lm,
                [(*prompts[place * count // 64], Message(role="assistant", content=texts[place % 4]))],
                layers=[1, 3],
                position="answer",
            )
            for place in range(64)
        ]
        sides.append(torch.cat(rows).mean(0))
    torch.testing.assert_close(found, sides[0] - sides[1], rtol=1e-3, atol=1e-4)


def test_a_model_that_thinks_is_tried_behind_a_closed_thought(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []

    def sweep(lm: LanguageModel, _sliders: object, prompts: Sequence[Any], *_: object, **__: object) -> list[list[str]]:
        ends.extend(lm.tokenizer.decode(lm.tokenize(prompt).ids[-6:]) for prompt in prompts)
        return [[WHOLE] * len(push_trials.STRENGTHS) for _ in prompts]

    monkeypatch.setattr(push_trials, "sweep", sweep)
    choose_push(thinking_lm(OPENED_TEMPLATE), CANDIDATES, HARMFUL[:2], ORDINARY, progress=False)
    assert {end[-len(CLOSED) :] for end in ends} == {CLOSED}
