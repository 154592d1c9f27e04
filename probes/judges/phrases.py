"""The phrases of an answer: its runs of one to three words, those of its first sentence also as such."""

import re

from probes.judges.text import normalize, sentences

LONGEST = 3
"""Words of a phrase."""
FIRST = "first: "
"""Begins a phrase of the first sentence."""
_EXPANDED = [
    (re.compile(pattern), words)
    for pattern, words in (
        (r"\b(?:can't|cannot)\b", "can not"),
        (r"\bwon't\b", "will not"),
        (r"n't\b", " not"),
        (r"\bi'm\b", "i am"),
        (r"'re\b", " are"),
        (r"'ve\b", " have"),
        (r"'ll\b", " will"),
        (r"\bi'd\b", "i would"),
        (r"\b(that|it|there|what|here|let)'s\b", r"\1 is"),
    )
]
_WORD = re.compile(r"[a-z']+|[?!:;*#]|\d+")


def phrases(answer: str) -> frozenset[str]:
    """What a judge can know an answer by, besides its acts. Contractions are spelled out, numbers are all alike.

    Example:
        >>> sorted(phrases("I can't."))[:4]
        ['</s>', '<s>', '<s> i', '<s> i can']
    """
    found: set[str] = set()
    for place, sentence in enumerate(sentences(normalize(answer))):
        own = _runs(sentence)
        found |= own | ({FIRST + phrase for phrase in own} if place == 0 else set())
    return frozenset(found)


def _runs(sentence: str) -> set[str]:
    text = sentence.lower()
    for pattern, spelled_out in _EXPANDED:
        text = pattern.sub(spelled_out, text)
    words = ["<s>", *("0" if word.isdigit() else word for word in _WORD.findall(text)), "</s>"]
    return {
        " ".join(words[start : start + length])
        for length in range(1, LONGEST + 1)
        for start in range(len(words) - length + 1)
    }
