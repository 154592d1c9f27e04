"""Texts of judges: answers made plain, cut into sentences and quoted, prompts of models, patterns."""

import re
import unicodedata
from importlib.resources import files

_PLAIN = str.maketrans("’‘ʼ′`“”–—‑", "'''''\"\"---")


def normalize(text: str) -> str:
    """Text with compatibility forms folded (NFKC), typographic quotes plain, invisible characters gone."""
    folded = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return "".join(c for c in folded if unicodedata.category(c) != "Cf").replace("\r\n", "\n").strip()


_BOUNDARY = re.compile(r"(?<=[.!?])['\")\]]?\s+|\n+")
_NUMBER = re.compile(r"(?:\d+[.)]|[-*•+])")
ITEM = re.compile(r"^\s*(?:\d+[.):]|[-*•+]|[a-h][.)])\s+\S|^\s*\*\*\S|^\s*step \d", re.I)
"""The beginning of a list item."""


def sentences(text: str) -> list[str]:
    """Sentences of a normalized text; the number of a list item stays with its item."""
    parts: list[str] = []
    for part in _BOUNDARY.split(text):
        if parts and _NUMBER.fullmatch(parts[-1]):
            parts[-1] += " " + part.strip()
        elif part.strip():
            parts.append(part.strip())
    return parts


def shortened(text: str, longest: int = 80) -> str:
    """Text on one line, cut to a number of characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 3].rstrip() + "..."


def prompt_file(name: str) -> str:
    """What a judge that is a model is asked, from `probes/judges/prompts`, to the letter."""
    return files("probes.judges").joinpath(f"prompts/{name}.txt").read_text(encoding="utf-8")


def any_of(*patterns: str) -> re.Pattern[str]:
    """One pattern that is found where any of these is."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
