"""Texts of judges: answers made plain, cut into sentences and quoted; prompts of models and patterns from files."""

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


def pattern_file(name: str) -> dict[str, re.Pattern[str]]:
    """Patterns by section of a text file of this folder, a line an alternative; `{NAME}` is a section in capitals."""
    text = files("probes.judges").joinpath(f"{name}.txt").read_text(encoding="utf-8")
    _, *sections = re.split(r"^\[(\w+)\]\n", text, flags=re.MULTILINE)
    found: dict[str, str] = {}
    for section, lines in zip(sections[::2], sections[1::2], strict=True):
        pattern = "|".join(f"(?:{line})" for line in lines.split("\n") if line)
        found[section] = re.sub(r"\{([A-Z]+)\}", lambda part: f"(?:{found[part[1]]})", pattern)
    return {section: re.compile(pattern) for section, pattern in found.items() if section.islower()}
