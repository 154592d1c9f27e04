"""The prompts that teach the gate: no held-out pair among them, the user's own last, and nonsense refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from steering import ContrastSet, LanguageModel, SteeringError, refusal_score
from steering.activations.recording import record_positions
from steering.data.chats import Chat, as_chat
from steering.recipes.prompt_probe import probed_tokens
from steering.recipes.taught_prompts import (
    END_MARKS,
    INTENT_SETS,
    LEAST_OWN,
    LOOK_ALIKE_SET,
    TaughtPrompts,
    read_states,
    without_end_mark,
)
from tests.helpers.tiny import WIDTH, tiny_lm

HARMFUL = [f"Poison well {number}." for number in range(10)]
HARMLESS = [f"Dig well {number}" for number in range(11)]
SETS = (*INTENT_SETS, LOOK_ALIKE_SET)
WHOLE = TaughtPrompts.of()


def prompts_of(pairs: ContrastSet) -> set[str]:
    """What users write in it, without marks at the end."""
    turns = [
        side[:-1] if side[-1].role == "assistant" else side for pair in pairs for side in (pair.positive, pair.negative)
    ]
    return {without_end_mark(turn)[-1].content for turn in turns}


def texts(chats: Sequence[Chat]) -> set[str]:
    return {without_end_mark(chat)[-1].content for chat in chats}


@pytest.mark.parametrize("quick", [False, True])
def test_no_held_out_pair_teaches(quick: bool) -> None:
    taught = texts(TaughtPrompts.of(quick=quick).chats)
    rests = set().union(*(prompts_of(ContrastSet.builtin(name).split()[0]) for name in SETS))
    for name in SETS:
        held_out = prompts_of(ContrastSet.builtin(name).split()[1])
        assert len(held_out) > 20
        # a text that two pairs or sets share teaches by the one that isn't held out
        assert not taught & (held_out - rests)
    assert taught <= rests
    assert quick or taught == {
        text for name in INTENT_SETS for text in prompts_of(ContrastSet.builtin(name).split()[0])
    } | prompts_of(ContrastSet.builtin(LOOK_ALIKE_SET).split()[0])


def test_labels_are_those_of_the_sets() -> None:
    harmful = texts([chat for chat, wish in zip(WHOLE.chats, WHOLE.harmful, strict=True) if wish])
    harmless = texts([chat for chat, wish in zip(WHOLE.chats, WHOLE.harmful, strict=True) if not wish])
    for name in INTENT_SETS:
        rest = ContrastSet.builtin(name).split()[0]
        assert texts([pair.positive for pair in rest]) <= harmful
        assert texts([pair.negative for pair in rest]) <= harmless
    assert prompts_of(ContrastSet.builtin(LOOK_ALIKE_SET).split()[0]) <= harmless
    assert not harmful & harmless
    assert all(chat[-1].role == "user" for chat in WHOLE.chats)


def test_quick_takes_half_of_the_pairs_and_says_so() -> None:
    quick = TaughtPrompts.of(quick=True)
    assert len(quick.chats) == pytest.approx(len(WHOLE.chats) / 2, abs=2 * len(SETS))
    assert [source.contrast_set for source in quick.sources] == list(SETS)
    for whole, half in zip(WHOLE.sources, quick.sources, strict=True):
        assert half.pairs == whole.pairs // 2
        size = len(ContrastSet.builtin(half.contrast_set))
        assert whole.pairs + whole.held_out_pairs == half.pairs + half.held_out_pairs == size


def test_every_other_pair_ends_without_a_mark_on_both_sides() -> None:
    marked = [chat[-1].content[-1] in END_MARKS for chat in WHOLE.chats]
    for chat, number, mark, weight in zip(WHOLE.chats, WHOLE.pairs, marked, WHOLE.weights, strict=True):
        assert chat[-1].content
        assert not (mark and number % 2 and weight == 1)  # short lines are as they were written
    assert 0.3 < sum(marked) / len(marked) < 0.6  # half of them, less those written without
    assert sorted(set(WHOLE.pairs)) == list(range(max(WHOLE.pairs) + 1))
    sides = np.bincount(WHOLE.pairs)
    assert set(sides) == {1, 2}
    two = [WHOLE.harmful[np.array(WHOLE.pairs) == number] for number in np.flatnonzero(sides == 2)]
    assert all(list(side) == [True, False] for side in two)


def test_the_users_own_come_last_as_they_are_each_a_pair_of_its_own() -> None:
    prompts = TaughtPrompts.of(HARMFUL, [[{"role": "user", "content": text}] for text in HARMLESS], quick=True)
    count = len(HARMFUL) + len(HARMLESS)
    assert prompts.own.sum() == count
    assert prompts.own[-count:].all()
    assert [chat[-1].content for chat in prompts.chats[-count:]] == HARMFUL + HARMLESS
    assert prompts.harmful[-count:].tolist() == [True] * len(HARMFUL) + [False] * len(HARMLESS)
    assert len(set(prompts.pairs[-count:])) == count
    assert min(prompts.pairs[-count:]) == max(prompts.pairs[:-count]) + 1
    builtin = TaughtPrompts.of(quick=True)
    assert prompts.chats[:-count] == builtin.chats
    assert (prompts.sources, builtin.own.any()) == (builtin.sources, False)


@pytest.mark.parametrize(
    ("harmful", "harmless", "sentence"),
    [
        (HARMFUL[:9], HARMLESS, "at least 10 different harmful prompts of your own, found 9; give both kinds"),
        (HARMFUL, [], "at least 10 different harmless prompts of your own, found 0; give both kinds"),
        ([], HARMLESS, "at least 10 different harmful prompts of your own, found 0"),
        (HARMFUL[:5] * 4, HARMLESS, "different harmful prompts of your own, found 5"),
        (HARMFUL, [*HARMLESS, HARMFUL[3], HARMFUL[2]], r"found 2 that stand on both sides, such as 'Poison well 2\.'"),
        ([*HARMFUL, " \n"], HARMLESS, r"prompts that end with the user's words, found ' \\n'"),
        (
            HARMFUL,
            [*HARMLESS, [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]],
            r"prompts that end with the user's words, found 'Yes\?'",
        ),
        ([*HARMFUL, []], HARMLESS, "at least one turn"),
    ],
)
def test_own_prompts_that_teach_nothing_are_refused(harmful: list[Any], harmless: list[Any], sentence: str) -> None:
    assert LEAST_OWN == 10
    with pytest.raises(SteeringError, match=sentence) as caught:
        TaughtPrompts.of(harmful, harmless)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("system_prompt", [None, "Be brief."])
def test_states_and_leanings_are_those_of_the_prompts(system_prompt: str | None) -> None:
    lm = tiny_lm(system_prompt=system_prompt)
    chats = [as_chat(text) for text in (*HARMFUL, "Hi")]
    states = read_states(lm, chats, [1, 3], progress=False)
    positions = [f"prompt_end:{token}" for token in probed_tokens(lm)]
    assert states.probed.shape == (2, len(chats), 2, WIDTH)
    torch.testing.assert_close(
        states.probed, record_positions(lm, chats, positions, layers=[1, 3]), rtol=1e-4, atol=1e-5
    )
    assert torch.equal(states.last, states.probed[-1])
    torch.testing.assert_close(states.refusal, refusal_score(lm, chats), rtol=1e-4, atol=1e-4)


def test_without_a_template_the_last_token_alone_is_read() -> None:
    lm: LanguageModel = tiny_lm(chat_template=None)
    assert read_states(lm, [as_chat("Hi")], [1], progress=False).probed.shape == (1, 1, 1, WIDTH)
