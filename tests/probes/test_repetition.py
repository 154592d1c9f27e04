"""Repetition counted by hand, in any script and at any length."""

import unicodedata

import pytest

from probes.repetition import diversity, loops, repeated_ngrams, words


@pytest.mark.parametrize(
    ("text", "n", "share"),
    [
        ("", 1, 0),
        ("one", 1, 0),
        ("one two", 4, 0),
        ("a b c d", 1, 0),
        ("a b a b", 1, 1 / 2),
        ("a b a b", 2, 1 / 3),  # ab, ba, ab
        ("a b c a b c a b", 3, 3 / 6),  # abc, bca, cab, abc, bca, cab
        ("The the THE", 1, 2 / 3),
        ("no  \n no\tno no no", 4, 1 / 2),
    ],
)
def test_the_share_is_the_one_counted_by_hand(text: str, n: int, share: float) -> None:
    assert repeated_ngrams(text, n) == pytest.approx(share)


def test_diversity_is_the_product_over_two_three_and_four() -> None:
    assert diversity("") == diversity("quite a new sentence every time") == 1
    # "a b a b a": bigrams 2 of 4, trigrams 2 of 3, 4-grams 2 of 2
    assert diversity("a b a b a") == pytest.approx(2 / 4 * 2 / 3 * 1)
    assert diversity("no " * 100) == pytest.approx(1 / 99 * 1 / 98 * 1 / 97)


def test_scripts_without_spaces_have_a_word_a_character() -> None:
    assert words("你好 world你好") == ["你", "好", "world", "你", "好"]
    assert repeated_ngrams("你好你好", 2) == pytest.approx(1 / 3)
    assert repeated_ngrams("ありがとうありがとう", 5) == pytest.approx(1 / 6)
    assert words("안녕 세상 नमस्ते 😀👍🏽") == ["안녕", "세상", "नमस्ते", "😀👍🏽"]


def test_one_way_to_write_a_letter_is_as_good_as_another() -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert repeated_ngrams(f"{composed} {decomposed}", 1) == 1 / 2


@pytest.mark.parametrize(
    "text",
    [
        "Well. " + "I am sorry. " * 4,
        "Well. " + "I am sorry. " * 5 + "I am so",  # cut off
        "a" * 32,
        "Yes:\n" + "no\n" * 20,
        "好的。" * 12,
        "😀" * 40,
        "The tide comes in and the tide goes out. " * 4,
    ],
)
def test_a_text_that_ends_in_a_loop(text: str) -> None:
    assert loops(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello",
        "Wow!!!!!!!!",
        "-----",
        "I am sorry. " * 3,
        "no no no no",
        "I am sorry. " * 9 + "Now for something else.",
        "\n".join(f"{number}. item" for number in range(30)),
    ],
)
def test_a_text_that_does_not(text: str) -> None:
    assert not loops(text)


def test_a_loop_may_be_defined_otherwise() -> None:
    assert loops("no no no no", times=4, characters=5)
    assert loops("I am sorry. " * 3, times=3)
    assert not loops("I am sorry. " * 4, times=5)
