"""Whether the answer to a question of ability is right: its last number, its letter, its judgment of the options."""

import re
import unicodedata

from probes.benchmarks import BenchmarkPrompt
from probes.reflective_judgment import reflects

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_LETTER = re.compile(r"\(?\b([A-D])\b(?:\)|[.:,]|\s*$)|\b(?:is|answer)\s*:?\s*\(?([A-D])\b", re.MULTILINE)


def is_right(prompt: BenchmarkPrompt, answer: str) -> bool:
    """Whether the answer has what `prompt.answer` says, one of the phrases that are accepted, or rejects what a
    reflective question offers.

    A letter is right where it is the first option that the answer names (MMLU), a number where it is the last number in
    the answer (GSM8K's convention), thousands separators left out.

    Example:
        >>> is_right(BenchmarkPrompt(text="Two and two?", kind="ability", answer="4"), "That makes 4.")
        True
    """
    if prompt.question is not None:
        return reflects(prompt.question, answer)
    if prompt.accepted:
        return any(phrase in _words(answer) for phrase in prompt.accepted)
    text = unicodedata.normalize("NFKC", answer)
    if prompt.answer in ("A", "B", "C", "D"):
        found = _LETTER.search(text)
        return found is not None and prompt.answer == (found[1] or found[2])
    numbers = _NUMBER.findall(text)
    return bool(numbers) and _value(numbers[-1]) == _value(prompt.answer)


def _words(text: str) -> str:
    """In lower case without punctuation, articles and wide spaces, as SQuAD and FaithEval compare answers."""
    plain = re.sub(r"[^\w\s]|_", " ", unicodedata.normalize("NFKC", text).lower())
    return " ".join(re.sub(r"\b(?:a|an|the)\b", " ", plain).split())


def _value(number: str) -> float | str:
    plain = number.replace(",", "").replace("$", "").strip()
    try:
        return float(plain)
    except ValueError:
        return plain
