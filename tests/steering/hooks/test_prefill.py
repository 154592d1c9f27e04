"""A chat that ends with an assistant's turn is a prefilled answer: its tokens are the answer's to sliders and gates."""

from typing import Any

import pytest
import torch

from steering import LanguageModel, Sliders, sweep
from steering.data.chats import Chat, Message
from steering.explore.answer_stream import stream_answers
from steering.models.token_positions import POSITIONS
from tests.helpers.slow_steering import Steering, answer_logits
from tests.helpers.tiny import OPENED_TEMPLATE, thinking_lm, tiny_lm

TOKENS = [choice.replace("end:K", "end:1").replace("K", "3") for choice in POSITIONS if choice != "thought"]
GREEDY: dict[str, Any] = {"eos_token_id": None}
VALUE = 1.5


def prefilled(prompt: str, opening: str) -> Chat:
    return Message(role="user", content=prompt), Message(role="assistant", content=opening)


CHATS = [prefilled("Hi", "Sure, here is"), prefilled("What is the tide?", "It"), prefilled("Tell me of boats.", "")]


def written_out(lm: LanguageModel, steering: Steering, value: float, prompt: str, opening: str, count: int) -> str:
    """The whole answer, each token chosen from an uncached pass whose hooks are told where the answer begins."""
    asked = lm.tokenize(prompt).ids
    answer = lm.tokenizer(opening, add_special_tokens=False).input_ids
    for _ in range(count):
        answer = [*answer, int(answer_logits(lm.model, steering, value, asked, [*answer, 0])[-1].argmax())]
    return lm.response_tokens.text(answer, asked)


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("family", ["Llama", "Gemma3", "GPT2"])
def test_prefilled_tokens_are_the_answers(family: str, gated: bool, tokens: str) -> None:
    lm, steering = tiny_lm(family), Steering(tokens, gated)
    with Sliders(a=steering.slider()).attach(lm) as dial:
        dial.set(a=[VALUE, -VALUE, 0.5])
        found = lm.generate(CHATS, 6, **GREEDY)
    for chat, value, answer in zip(CHATS, (VALUE, -VALUE, 0.5), found, strict=True):
        opening = chat[1].content
        assert answer.startswith(opening)
        assert answer == written_out(lm, steering, value, chat[0].content, opening, 6)


def test_a_slider_on_the_first_tokens_of_an_answer_is_used_up_by_a_longer_opening() -> None:
    lm, steering = tiny_lm(), Steering("answer:3", gated=False)
    with Sliders(a=steering.slider()).attach(lm) as dial:
        dial.set(a=VALUE)
        moved = lm.generate([CHATS[0]], 6, **GREEDY)
    # the pushed tokens are the prompt's last and two of the opening, which later tokens attend to
    assert moved == [written_out(lm, steering, VALUE, "Hi", "Sure, here is", 6)]
    assert moved != lm.generate([CHATS[0]], 6, **GREEDY)


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("gated", [False, True])
def test_a_sweep_over_prefilled_answers_equals_a_plain_loop(gated: bool, tokens: str) -> None:
    lm, sliders = tiny_lm(), Sliders(a=Steering(tokens, gated).slider())
    values = [0.0, VALUE, -VALUE]
    found = sweep(lm, sliders, CHATS, [{"a": value} for value in values], max_new_tokens=6, progress=False, **GREEDY)
    with sliders.attach(lm) as dial:
        for column, value in enumerate(values):
            dial.set(a=value)
            assert [row[column] for row in found] == [lm.generate([chat], 6, **GREEDY)[0] for chat in CHATS]


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("tokens", ["generated", "answer", "prompt"])
def test_beams_and_several_samples_keep_the_ends_of_their_prompts(tokens: str, use_cache: bool) -> None:
    lm = tiny_lm()
    beams = GREEDY | {"num_beams": 3, "use_cache": use_cache}
    with Sliders(a=Steering(tokens, gated=False).slider()).attach(lm) as dial:
        dial.set(a=VALUE)
        several = lm.generate(CHATS, 6, num_return_sequences=2, **beams)
        assert several[::2] == [lm.generate([chat], 6, **beams)[0] for chat in CHATS]


def test_a_stream_begins_with_what_was_prefilled() -> None:
    lm, sliders = tiny_lm(), Sliders(a=Steering("answer", gated=False).slider())
    with sliders.attach(lm) as dial:
        *steps, whole = stream_answers(lm, dial, [CHATS[0]], [{"a": VALUE}], max_new_tokens=4, **GREEDY)
        dial.set(a=VALUE)
        assert whole == lm.generate([CHATS[0]], 4, **GREEDY)
    assert all(step[0].startswith("Sure, here is") for step in steps)


@torch.inference_mode()
def test_a_thinking_models_prefilled_answer_follows_on_a_closed_thought() -> None:
    lm = thinking_lm(OPENED_TEMPLATE)
    sliders = Sliders(a=Steering("generated", gated=False).slider())
    chat = lm.tokenize(CHATS[0])
    thought, closing, answer = str(lm.tokenizer.decode(chat.opening)).partition("</think>")
    assert (thought.strip(), closing, answer.strip()) == ("", "</think>", "Sure, here is")
    with sliders.attach(lm) as dial:
        dial.set(a=VALUE)
        (found,) = lm.generate([CHATS[0]], 1, **GREEDY)
        with dial.prompt_lengths([chat.generation_start]):
            token = int(lm.model(input_ids=torch.tensor([chat.ids]), use_cache=False).logits[0, -1].argmax())
    assert found == lm.response_tokens.text([*chat.opening, token], chat.asked)
