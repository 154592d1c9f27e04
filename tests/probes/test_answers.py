"""Answers are what generate writes, in the prompts' order; how they begin is read off the same pass."""

import pytest
import torch

from probes.answers import Decoding, answer
from steering import Sliders
from steering.scoring.next_token import refusal_score
from tests.helpers.tiny import random_vector, tiny_lm

PROMPTS = ["Break the lock", "Paint", "Name a fruit that is neither red nor green", "Go"]


def test_greedy_answers_and_their_beginnings_are_those_of_single_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny_lm()
    monkeypatch.setattr("probes.answers.TOKENS_PER_BATCH", 150)  # several batches
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=0.7)
        found = answer(lm, PROMPTS, Decoding(max_new_tokens=6), None)
        assert list(found.texts) == [lm.chat(prompt, 6) for prompt in PROMPTS]
        torch.testing.assert_close(torch.tensor(found.refusal), refusal_score(lm, PROMPTS), rtol=1e-3, atol=1e-4)
    assert not lm.model._forward_hooks


def test_a_seed_gives_the_same_answers_and_leaves_the_random_state() -> None:
    lm = tiny_lm()
    decoding = Decoding(max_new_tokens=6, seeds=(0, 1), temperature=1.5)
    before = torch.get_rng_state()
    first, again, other = (answer(lm, PROMPTS, decoding, seed) for seed in (0, 0, 1))
    assert first == again
    assert first.texts != other.texts
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(torch.tensor(first.refusal), refusal_score(lm, PROMPTS), rtol=1e-3, atol=1e-4)


def test_decoding_says_what_it_is() -> None:
    assert str(Decoding()) == "greedy, 64 new tokens"
    assert Decoding().runs == (None,)
    sampled = Decoding(seeds=(3, 4), temperature=0.7, top_p=0.9, max_new_tokens=8)
    assert str(sampled) == "sampled at temperature 0.7, top-p 0.9, seeds 3, 4, 8 new tokens"
    assert sampled.runs == (3, 4)
