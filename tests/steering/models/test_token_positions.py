"""A token position names the same tokens in reading and in steering."""

import numpy as np
import pytest
import torch

from steering import LanguageModel, SteeringError
from steering.models.token_positions import POSITIONS, spares_the_prompt, token_choice, token_span
from tests.helpers.contrast_pairs import answer_pairs

NAMES = [position.replace("K", "3") for position in POSITIONS if position not in ("all", "thought")]


@pytest.mark.parametrize("position", NAMES)
def test_what_is_read_is_what_a_slider_moves(lm: LanguageModel, position: str) -> None:
    chat = lm.tokenize(answer_pairs(1)[0].positive)
    index = torch.arange(len(chat.ids))
    choice = token_choice(position)
    assert choice is not None
    known = torch.tensor([[chat.prompt_length]]), torch.tensor([[chat.answer_start]])
    chosen = choice(index.unsqueeze(0), *known)[0]
    assert index[chosen].tolist() == list(range(*token_span(chat, position)))
    arrays = (np.full(len(index), int(one)) for one in known)
    assert np.array_equal(choice(index.numpy(), *arrays), chosen.numpy())


def test_an_answers_first_k_tokens_end_with_the_chat(lm: LanguageModel) -> None:
    chat = lm.tokenize(answer_pairs(1)[0].positive)
    assert token_span(chat, "answer:1") == token_span(chat, "last_prompt_token")
    assert token_span(chat, "answer:4") == (chat.prompt_length - 1, chat.prompt_length + 3)
    assert token_span(chat, "answer:9999") == token_span(chat, "answer")


@pytest.mark.parametrize("position", NAMES)
def test_a_position_spares_the_prompt_if_it_has_none_of_its_tokens_but_the_last(
    lm: LanguageModel, position: str
) -> None:
    chat = lm.tokenize(answer_pairs(1)[0].positive)
    # counted from the prompt's start or end, it depends on the prompt, so it doesn't
    spares = token_span(chat, position)[0] >= chat.prompt_length - 1 and not position.startswith("from_token")
    assert spares_the_prompt(position) == spares


def test_all_is_every_token(lm: LanguageModel) -> None:
    chat = lm.tokenize("Hi")
    assert token_choice("all") is None
    assert token_span(chat, "all") == (0, len(chat.ids))


def test_padding_is_never_a_token_from_the_prompts_end() -> None:
    choice = token_choice("prompt_end:3")
    assert choice is not None
    index = torch.tensor([[-1, -1, 0, 1], [-1, 0, 1, 2]])
    length = torch.tensor([[2], [3]])
    assert choice(index, length, length - 1).tolist() == [[False] * 4, [False, True, False, False]]


@pytest.mark.parametrize("position", ["last", "post_instruction"])
def test_what_needs_the_whole_chat_can_not_be_steered(position: str) -> None:
    with pytest.raises(SteeringError, match=f"can't move tokens at '{position}'.* choose from 'all', 'prompt', 'gen"):
        token_choice(position)


@pytest.mark.parametrize(
    "position",
    ["nowhere", "prompt_end:0", "prompt_end:", "answer:0", "answer:", "answer:-1", "from_token:-1", "all:3", "mean"],
)
def test_other_names_are_refused(position: str) -> None:
    with pytest.raises(SteeringError, match=f"no token position '{position}'; choose from 'all', 'prompt'"):
        token_choice(position)


@pytest.mark.parametrize("name", ["prompt_end", "from_token", "answer"])
@pytest.mark.parametrize("digits", ["9" * 10, "9" * 30, "9" * 5000, "٣", "+3", "1_0", " 3"])
def test_numbers_of_too_many_digits_are_refused(name: str, digits: str) -> None:
    with pytest.raises(SteeringError, match=f"no token position '{name}:.*a number of at most nine digits") as raised:
        token_choice(f"{name}:{digits}")
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("name", ["prompt_end", "from_token"])
def test_the_largest_number_is_a_position_that_no_chat_has(name: str, lm: LanguageModel) -> None:
    with pytest.raises(SteeringError, match="has none at position"):
        token_span(lm.tokenize("Hi"), f"{name}:{'9' * 9}")
