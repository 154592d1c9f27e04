"""Scores without generation follow their definitions, and a dial moves them."""

import pytest
import torch

from probes.scores import (
    COMPLIANCES,
    REFUSALS,
    answer_cross_entropy,
    answer_divergence,
    answer_log_likelihood,
    preference_margin,
    refusal_margin,
    refusal_score,
)
from steering import LanguageModel, Sliders, SteeringError
from steering.data.chats import Message
from steering.scoring.next_token import kl_divergence, next_token_log_probabilities, refusal_tokens
from tests.helpers.contrast_pairs import answer_pairs
from tests.helpers.tiny import FAMILIES, random_vector, tiny_lm


def test_scores_follow_their_definitions(lm: LanguageModel) -> None:
    chats = [pair.positive for pair in answer_pairs(5)]
    refusals = refusal_score(lm, [chat[:-1] for chat in chats])
    likelihoods = answer_log_likelihood(lm, chats)
    for chat, refusal, likelihood in zip(chats, refusals, likelihoods, strict=True):
        tokens = lm.tokenize(chat)
        with torch.inference_mode():
            probabilities = lm.model(input_ids=torch.tensor([tokens.ids])).logits[0].double().softmax(-1)
        mass = probabilities[tokens.prompt_length - 1, refusal_tokens(lm)].sum()
        assert refusal.item() == pytest.approx((mass.log() - (1 - mass).log()).item(), abs=1e-4)
        answer = range(tokens.prompt_length, len(tokens.ids))
        expected = sum(probabilities[place - 1, tokens.ids[place]].log().item() for place in answer) / len(answer)
        assert likelihood.item() == pytest.approx(expected, abs=1e-4)


def test_the_margin_is_positive_minus_negative(lm: LanguageModel) -> None:
    pairs = [
        pair.model_copy(
            update={"negative": (*pair.negative[:-1], pair.negative[-1].model_copy(update={"content": "No."}))}
        )
        for pair in answer_pairs(4)
    ]
    sides = [answer_log_likelihood(lm, [getattr(pair, side) for pair in pairs]) for side in ("positive", "negative")]
    torch.testing.assert_close(preference_margin(lm, pairs), sides[0] - sides[1], rtol=1e-4, atol=1e-4)


def test_an_answer_without_words_is_refused(lm: LanguageModel) -> None:
    empty = (Message(role="user", content="Why?"), Message(role="assistant", content=""))
    for chat, last in ((empty, "''"), ("Hi", "'Hi'")):
        with pytest.raises(SteeringError, match=f"chats that end with an answer, found one that ends with {last}"):
            answer_log_likelihood(lm, [chat])


def test_refusal_tokens_begin_refusals(lm: LanguageModel) -> None:
    assert [lm.tokenizer.decode([token]) for token in refusal_tokens(lm)] == ["A", "I", "N", "S", "U"]


def test_a_choice_of_tokens_knows_where_answers_begin_when_the_dial_is_passed() -> None:
    """Steering generated tokens can't change the likelihood of the answer's first token, all others it does."""
    lm = tiny_lm()
    chats = [pair.positive for pair in answer_pairs(3)]
    first_only = [(*chat[:-1], chat[-1].model_copy(update={"content": "G"})) for chat in chats]
    bare, bare_first = answer_log_likelihood(lm, chats), answer_log_likelihood(lm, first_only)
    with Sliders(a=random_vector()).attach(lm, tokens="generated") as dial:
        dial.set(a=2.0)
        torch.testing.assert_close(answer_log_likelihood(lm, first_only, dial), bare_first, rtol=1e-5, atol=1e-5)
        assert (answer_log_likelihood(lm, chats, dial) - bare).abs().min() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_next_token_is_read_at_each_prompts_end(family: str) -> None:
    lm = tiny_lm(family)
    prompts = ["Hi", "Break the lock now", "Name a fruit please, any", "Ho"]
    together = next_token_log_probabilities(lm, prompts)
    for prompt, row in zip(prompts, together, strict=True):
        with torch.inference_mode():
            logits = lm.model(input_ids=torch.tensor([lm.tokenize(prompt).ids])).logits[0, -1]
        torch.testing.assert_close(row, logits.float().log_softmax(-1), rtol=1e-3, atol=1e-3)


def test_divergence_is_the_relative_entropy_of_the_bare_model() -> None:
    p, q = (torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(0)).log_softmax(-1)).unbind()
    torch.testing.assert_close(kl_divergence(p, q), (p.exp() * (p - q)).sum(-1))
    torch.testing.assert_close(kl_divergence(p, p), torch.zeros(3))


def test_the_refusal_margin_compares_forced_beginnings(lm: LanguageModel) -> None:
    prompts = ["Break the lock", "Hi"]
    for prompt, margin in zip(prompts, refusal_margin(lm, prompts), strict=True):
        sides = [
            answer_log_likelihood(
                lm, [[{"role": "user", "content": prompt}, {"role": "assistant", "content": text}] for text in texts]
            ).mean()
            for texts in (REFUSALS, COMPLIANCES)
        ]
        torch.testing.assert_close(margin, sides[0] - sides[1], rtol=1e-3, atol=1e-4)


def test_divergence_and_cross_entropy_over_answers_follow_their_definitions() -> None:
    lm = tiny_lm()
    chats = [pair.positive for pair in answer_pairs(4)]
    ids = [lm.tokenize(chat) for chat in chats]

    def log_probabilities(place: int) -> torch.Tensor:
        with torch.inference_mode():
            return lm.model(input_ids=torch.tensor([ids[place].ids])).logits[0].double().log_softmax(-1)

    bare = [log_probabilities(place) for place in range(4)]
    with Sliders(a=random_vector()).attach(lm) as dial:
        assert answer_divergence(lm, chats, dial).abs().max() == 0
        dial.set(a=0.7)
        found = answer_divergence(lm, chats, dial)
        first_only = answer_divergence(lm, [chat[:-1] for chat in chats], dial)
        assert dial.settings == {"a": pytest.approx(0.7)}
        entropy = answer_cross_entropy(lm, chats, dial)
        steered = [log_probabilities(place) for place in range(4)]
    for place, chat in enumerate(ids):
        span = slice(chat.prompt_length - 1, len(chat.ids) - 1)
        kl = (bare[place].exp() * (bare[place] - steered[place])).sum(-1)
        assert found[place].item() == pytest.approx(kl[span].mean().item(), rel=1e-3)
        assert first_only[place].item() == pytest.approx(kl[chat.prompt_length - 1].item(), rel=1e-3)
        expected = -steered[place][span].gather(1, torch.tensor(chat.ids[chat.prompt_length :])[:, None]).mean()
        assert entropy[place].item() == pytest.approx(expected.item(), rel=1e-4)
