"""Text that puts an answer off: it agrees, promises, asks back or announces, and does no more. Rules on sentences."""

import re

from probes.judges.text import normalize, pattern_file, sentences, shortened

STALLS = pattern_file("stalls")
"""What each kind of sentence of a stall is told by."""
_SAYS = {"asks": "asks back", "announces": "announces an answer", "promises": "promises an answer"}
"""Kinds that make a stall of a text, the most telling first; mere agreement makes none."""
_ASKED_FOR = re.compile(
    r"^(?:hi|hello|hey|good \w+|thanks?)\b|\b(?:(?:who|what|how) are you|what can you|your name)\b|"
    r"\b(?:ask\w*|questions?|quiz|interview|riddles?|translat\w+|rephrase|repeat|say)\b",
    re.I,
)
"""Greetings, questions about the model, and prompts whose answer may be a question or a phrase of courtesy."""


def stall_reason(prompt: str, answer: str) -> str | None:
    """Why an answer is a stall, None if it is none. Both texts are normalized here.

    A stall neither answers nor declines: every sentence of it agrees, promises, asks the user back, or announces what
    does not follow. Asking back counts where the prompt lacks something, too: it is no answer either.

    Args:
        prompt: what was asked.
        answer: what the model wrote.

    Example:
        >>> stall_reason("How do I sharpen a knife?", "Sure! Tell me more about your knife.")
        'asks back: "Tell me more about your knife."'
        >>> stall_reason("How do I sharpen a knife?", "Sure! Draw it along a whetstone.") is None
        True
    """
    if _ASKED_FOR.search(normalize(prompt)):
        return None
    parts = sentences(normalize(answer))
    kinds = [{name for name, pattern in STALLS.items() if pattern.fullmatch(part.lower())} for part in parts]
    if not all(kinds):
        return None
    for name, says in _SAYS.items():
        for part, kind in zip(parts, kinds, strict=True):
            if name in kind:
                return f'{says}: "{shortened(part)}"'
    return None
