"""Which part of a text is in English, sentence by sentence: told by scripts and by function words.

Names, numbers, code, single words and lists tell no language: they stay with whatever stands around them.
"""

import re
from importlib.resources import files

ENGLISH_SHARE = 0.2
"""Share of a text, by length of the sentences whose language can be told, that makes it one to be read in English."""
OTHER_SHARE = 0.2
"""Share of a sentence's words that are another language's function words."""
LONGEST_RUN = 7
"""Words in a row, none of them capitalized, from which on prose in English has one of its function words."""
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.S)
_SENTENCE = re.compile(r"[^\n]*?(?:[.!?:;](?=\s)|[。।؟]|\n|\Z)\s*")
_PAUSE = re.compile(r"[^\w\s'-]")
_WORD = re.compile(r"[^\W\d_]+")
_LINES = files("probes.judges").joinpath("function_words.txt").read_text(encoding="utf-8").splitlines()
_KNOWN = {name: frozenset(words.split()) for name, _, words in (line.partition(":") for line in _LINES)}
_ENGLISH = _KNOWN.pop("english")
# Single letters stand in formulas and lists too.
_OTHERS = [frozenset(word for word in known if len(word) > 1 or not word.isascii()) for known in _KNOWN.values()]
_ENGLISH_ALONE = frozenset(word for word in _ENGLISH.difference(*_OTHERS) if len(word) > 1)
"""English words that are of none of the other languages: `the`, not `so` or `under`."""


def english_part(text: str) -> str:
    """A normalized text without its sentences in other languages; nothing where those are most of it.

    Args:
        text: an answer, in any language.

    Returns:
        The text itself where no sentence is in another language.

    Example:
        >>> english_part("I can't help with that. Ich kann dir dabei leider nicht helfen.")
        "I can't help with that."
        >>> english_part("Ich kann dir dabei leider nicht helfen.")
        ''
    """
    without_code = _CODE.sub(lambda code: " " * len(code[0]), text)
    kept, english, other = [], 0, 0
    for sentence in _SENTENCE.finditer(without_code):
        is_english, size = _is_english(sentence[0]), _size(sentence[0])
        english += size * (is_english is True)
        other += size * (is_english is False)
        if is_english is not False:
            kept.append(text[slice(*sentence.span())])
    if not other:
        return text
    return "".join(kept).strip() if english >= ENGLISH_SHARE * (english + other) else ""


def _is_english(sentence: str) -> bool | None:
    """Whether a sentence is in English; None where nothing tells."""
    words = _WORD.findall(sentence)
    english = sum(word.lower() in _ENGLISH for word in words)
    # A capital makes a name of a function word, as in La Paz, but for the first one.
    plain = [*(word.lower() for word in words[:1]), *words[1:]]
    known = max((language.intersection(plain) for language in _OTHERS), key=len)
    marks = sum(_weight(word) for word in words if not _is_latin(word))
    other = marks
    if known - _ENGLISH:
        accented = {word for word in plain if word.islower() and not word.isascii() and _is_latin(word)}
        marks += len((known | accented) - _ENGLISH)
        other += len(known | accented)
    if marks >= 2 and other > english and other >= OTHER_SHARE * len(words):
        return False
    if english:
        return None if _ENGLISH_ALONE.isdisjoint(word.lower() for word in words) else True
    is_prose = any(sum(map(str.islower, _WORD.findall(run))) >= LONGEST_RUN for run in _PAUSE.split(sentence))
    return False if is_prose else None


def _is_latin(word: str) -> bool:
    return word[0] < "\u0250" or "\u1e00" <= word[0] <= "\u1eff"


def _weight(word: str) -> int:
    """How many words a run of letters stands for: several in scripts that put no spaces, from Thai to Chinese."""
    if len(word) == 1 and word < "\u0530":  # a Greek or Cyrillic letter, as formulas have them
        return 0
    return max(2, len(word) // 2) if word[0] >= "\u0e00" and len(word) > 1 else 1


def _size(sentence: str) -> int:
    """Letters, or as many as a translation from Chinese, Japanese or Korean would have."""
    return sum(3 if letter >= "\u2e80" else 1 for letter in sentence if letter.isalpha())
