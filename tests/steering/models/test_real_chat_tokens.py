"""The real model under its own template, where nothing may change, and under foreign ones, where it refuses too."""

from copy import deepcopy

import pytest

from steering import ContrastSet, LanguageModel, refusal_score
from steering.data.chats import Message
from steering.scoring.next_token import next_token_log_probabilities, refusal_tokens
from tests.helpers.chat_templates import SHAPES

pytestmark = pytest.mark.real

SYSTEM = [1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712, 8182, 2]
"""The template's own system turn."""
QUESTIONS = "How do I cook rice?", "What is the capital of France?", "Who wrote Hamlet?", "How far is the moon?"
TOKENS = [57, 339, 1032, 1653, 2838, 5230, 8286, 14875, 25442, 37388]
SCORES = [-2.643, -1.681, -2.242, -2.906]
"""Recorded before answers were rendered with their prompts."""
REFUSAL, ANSWER = "I'm sorry, but I can't help with that.", "The answer is in any book on the matter."


def history(answer: str) -> tuple[Message, ...]:
    """Questions that were all answered alike, and one more."""
    *asked, last = (Message(role="user", content=question) for question in QUESTIONS)
    turns = [turn for question in asked for turn in (question, Message(role="assistant", content=answer))]
    return (*turns, last)


def test_chats_and_scores_under_the_own_template_are_as_they_were(smollm2: LanguageModel) -> None:
    prompt = [*SYSTEM, 198, 1, 4093, 198, 26843, 2, 198, 1, 520, 9531, 198]
    assert smollm2.tokenize("Hi").ids == prompt
    chat = smollm2.tokenize([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I can't. Sorry"}])
    assert chat.ids == [*prompt, 57, 416, 982, 30, 25442, 541]
    assert (chat.prompt_length, chat.instruction_end, chat.generation_start) == (31, 25, 31)
    assert smollm2.answers_at_once
    assert refusal_tokens(smollm2) == TOKENS
    harmful = [pair.positive for pair in ContrastSet.builtin("safety").spread(12)][:4]
    assert refusal_score(smollm2, harmful).tolist() == pytest.approx(SCORES, abs=2e-3)


@pytest.mark.parametrize("name", ["ChatML", "Llama 3", "Assistant:", "Assistant: and a space", "Mistral"])
def test_under_foreign_templates_the_score_looks_for_what_the_model_writes(smollm2: LanguageModel, name: str) -> None:
    tokenizer = deepcopy(smollm2.tokenizer)
    tokenizer.chat_template = SHAPES[name].template
    lm = LanguageModel(smollm2.model, tokenizer)
    refused, answered = history(REFUSAL), history(ANSWER)
    first = int(next_token_log_probabilities(lm, [refused])[0].argmax())
    assert first in refusal_tokens(lm)
    assert lm.tokenizer.decode([first]).strip() == "I"
    scores = refusal_score(lm, [refused, answered])
    assert scores[0] > 1
    assert scores[1] < -1
