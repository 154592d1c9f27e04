"""The cards in the page's drawer: the model and its sliders as notebooks show them, and the model's own card."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steering import LanguageModel, Slider
from steering.errors import SteeringError
from steering.formats.card import LIMITS
from steering.models.loading import PACKAGED
from trimtab.studio.files import opened

MAX_CARD_LENGTH = 100_000
"""Characters of a model's own card that are shown."""


def cards(lm: LanguageModel, axes: Mapping[str, Slider]) -> dict[str, Any]:
    """HTML, in which all text of files is escaped, and the model's own card as text, "" where it has none."""
    return {
        "model": lm._repr_html_(),
        "card": _own_card(lm.name),
        "axes": {name: slider.summary().html() for name, slider in axes.items()},
        "limits": LIMITS,
    }


def _own_card(name: str) -> str:
    """The `README.md` in a model's folder."""
    file = Path(os.path.expanduser(name)) / "README.md"
    if name in PACKAGED or not file.exists():
        return ""
    try:
        with opened(str(file)) as copy:
            return copy.read_text(encoding="utf-8", errors="replace")[:MAX_CARD_LENGTH]
    except SteeringError as error:
        return str(error)
