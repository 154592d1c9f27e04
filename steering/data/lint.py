"""What makes a contrast set teach something other than its axis: form, length and single words.

It knows texts, not models: nothing here needs a tokenizer.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from steering.data.chats import Chat
from steering.data.contrast import ContrastPair, ContrastSet

MAX_LENGTH_RATIO = 2.0
"""A pair whose longer side has more than this many times the words of the other is imbalanced."""
MAX_MEAN_LENGTH_GAP = 0.15
"""Relative difference of the two sides' mean number of words over the whole set."""
MAX_WORD_GAP = 0.12
"""A word in this larger a share of one side's texts than of the other's gives the side away."""
MIN_WORD_COUNT = 5
"""Texts that a word must stand in more often on one side before its share means anything."""


@dataclass(frozen=True)
class Finding:
    """One thing to mend, and the lines of the file where it stands."""

    check: Literal["duplicate", "empty turn", "length", "last token", "give-away"]
    lines: tuple[int, ...]
    message: str

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.lines[:5])) + (", …" if len(self.lines) > 5 else "")
        return f"{'line' if len(self.lines) == 1 else 'lines'} {shown}: {self.message}"


def lint(contrast_set: ContrastSet) -> list[Finding]:
    """Look for what makes a set teach something other than its axis.

    Args:
        contrast_set: the pairs; their texts alone are looked at.

    Returns:
        Every finding, by check, then by line; `[]` for a clean set.

    Example:
        >>> from steering import ContrastSet, lint
        >>> lint(ContrastSet.builtin("safety"))
        []
    """
    return [
        *_duplicates(contrast_set),
        *_empty_turns(contrast_set),
        *_length_imbalance(contrast_set),
        *_differing_last_tokens(contrast_set),
        *_give_aways(contrast_set, "the word {!r}", lambda text: set(_words(text))),
        *_give_aways(contrast_set, "the first word {!r}", lambda text: set(_words(text)[:1])),
        *_give_aways(contrast_set, "the last character {!r}", lambda text: {text.rstrip()[-1:]}),
    ]


def _numbered(contrast_set: ContrastSet) -> Iterator[tuple[int, ContrastPair]]:
    return zip(contrast_set.lines, contrast_set.pairs, strict=True)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)?", text.lower())


def _whole(chat: Chat) -> str:
    return " / ".join(" ".join(_words(message.content)) or message.content for message in chat)


def _duplicates(contrast_set: ContrastSet) -> Iterator[Finding]:
    places: dict[str, list[int]] = defaultdict(list)
    for line, pair in _numbered(contrast_set):
        if _whole(pair.positive) == _whole(pair.negative):
            yield Finding("duplicate", (line,), f"both sides say {pair.positive[-1].content[:60]!r}")
        for text in {_whole(pair.positive), _whole(pair.negative)}:
            places[text].append(line)
    for text, lines in places.items():
        if len(lines) > 1:
            yield Finding("duplicate", tuple(lines), f"the same chat stands in {len(lines)} pairs: {text[:60]!r}")


def _empty_turns(contrast_set: ContrastSet) -> Iterator[Finding]:
    for line, pair in _numbered(contrast_set):
        for side, chat in (("positive", pair.positive), ("negative", pair.negative)):
            if not all(message.content.strip() for message in chat):
                yield Finding("empty turn", (line,), f"the {side} side has a turn without text")


def _length_imbalance(contrast_set: ContrastSet) -> Iterator[Finding]:
    totals = [0, 0]
    for line, pair in _numbered(contrast_set):
        counts = [len(_words(chat[-1].content)) for chat in (pair.positive, pair.negative)]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        if max(counts) > MAX_LENGTH_RATIO * max(min(counts), 1):
            yield Finding("length", (line,), f"the positive side has {counts[0]} words, the negative {counts[1]}")
    if abs(totals[0] - totals[1]) > MAX_MEAN_LENGTH_GAP * max(totals):
        means = [total / len(contrast_set) for total in totals]
        message = f"positive sides have {means[0]:.1f} words on average, negative {means[1]:.1f}"
        yield Finding("length", contrast_set.lines, message)


def _differing_last_tokens(contrast_set: ContrastSet) -> Iterator[Finding]:
    for line, pair in _numbered(contrast_set):
        ends = [chat[-1].content.rstrip()[-1:] for chat in (pair.positive, pair.negative)]
        if ends[0] != ends[1] and not all(end.isalnum() for end in ends):
            message = f"the positive side ends with {ends[0]!r}, the negative with {ends[1]!r}"
            yield Finding("last token", (line,), message)


def _give_aways(contrast_set: ContrastSet, name: str, features: Callable[[str], set[str]]) -> Iterator[Finding]:
    """Features of single texts that tell the sides apart over the whole set."""
    positive, negative = Counter[str](), Counter[str]()
    lines: dict[str, list[int]] = defaultdict(list)
    for line, pair in _numbered(contrast_set):
        here, there = features(pair.positive[-1].content), features(pair.negative[-1].content)
        positive.update(here)
        negative.update(there)
        for feature in here ^ there:
            lines[feature].append(line)
    for feature in sorted(lines):
        gap = abs(positive[feature] - negative[feature])
        if gap >= MIN_WORD_COUNT and gap > MAX_WORD_GAP * len(contrast_set):
            shares = [f"{side[feature] / len(contrast_set):.0%}" for side in (positive, negative)]
            message = f"{name.format(feature)} stands in {shares[0]} of positive and {shares[1]} of negative sides"
            yield Finding("give-away", tuple(lines[feature]), message)
