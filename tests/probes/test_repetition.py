"""Repetition counted by hand, in any script and at any length."""

import unicodedata

import pytest

from probes.repetition import repeated_ngrams, words


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


def test_scripts_without_spaces_have_a_word_a_character() -> None:
    assert words("你好 world你好") == ["你", "好", "world", "你", "好"]
    assert repeated_ngrams("你好你好", 2) == pytest.approx(1 / 3)
    assert repeated_ngrams("ありがとうありがとう", 5) == pytest.approx(1 / 6)
    assert words("안녕 세상 नमस्ते 😀👍🏽") == ["안녕", "세상", "नमस्ते", "😀👍🏽"]


def test_one_way_to_write_a_letter_is_as_good_as_another() -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert repeated_ngrams(f"{composed} {decomposed}", 1) == 1 / 2
