"""An answer's text while its tokens arrive."""

import random

import pytest

from tests.helpers.tiny import thinking_lm, tiny_tokenizer
from trimtab.serve.answer_text import AnswerText

TOKENIZER = tiny_tokenizer()


def pieces(text: str, stop: list[str] | None = None) -> tuple[list[str], AnswerText]:
    """What comes out for each token of the text, and at the end."""
    answer = AnswerText(TOKENIZER, stop or [])
    return [*map(answer.add, TOKENIZER(text).input_ids), answer.finish()], answer


def test_a_character_comes_out_whole_with_its_last_token() -> None:
    assert pieces("aé€🙂")[0] == ["a", "", "é", "", "", "€", "", "", "", "🙂", ""]


@pytest.mark.parametrize("seed", range(20))
def test_the_pieces_make_up_the_decoded_text_whatever_the_tokens(seed: int) -> None:
    tokens = [random.Random(seed).randrange(len(TOKENIZER)) for _ in range(200)]
    answer = AnswerText(TOKENIZER)
    assert "".join(map(answer.add, tokens)) + answer.finish() == TOKENIZER.decode(tokens, skip_special_tokens=True)


def test_special_tokens_write_nothing() -> None:
    assert "".join(pieces("a<|user|>b")[0]) == "ab"


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("one two three", ["two"], "one "),
        ("one two three", ["three", "two"], "one "),
        ("aaab", ["aab"], "a"),
        ("one tw", ["two"], "one tw"),
        ("ends on €uro", ["€"], "ends on "),
        ("nothing", ["else"], "nothing"),
    ],
)
def test_a_stop_string_ends_the_text_and_none_of_it_comes_out(text: str, stop: list[str], expected: str) -> None:
    found, answer = pieces(text, stop)
    assert "".join(found) == expected
    assert answer.stopped == (stop[0] != "else" and text != "one tw")


def test_the_marks_of_a_thought_stay_where_they_are_special_tokens() -> None:
    tokenizer = thinking_lm(special=True).tokenizer
    tokens = tokenizer("<think>é</think>b<|user|>c<|end|>").input_ids
    answer = AnswerText(tokenizer)
    assert "".join(map(answer.add, tokens)) + answer.finish() == "<think>é</think>bc"
