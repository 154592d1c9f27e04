"""Steering: directions from contrast sets, and sliders that move a language model along them.

Names are imported on first use, so that `import steering` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steering.contrast import ContrastPair as ContrastPair
    from steering.contrast import ContrastSet as ContrastSet
    from steering.contrast_lint import lint as lint
    from steering.errors import SteeringError as SteeringError
    from steering.extraction import extract as extract
    from steering.generation import sweep as sweep
    from steering.language_model import LanguageModel as LanguageModel
    from steering.loading import load as load
    from steering.recipes import from_recipe as from_recipe
    from steering.recording import record as record
    from steering.sliders import Dial as Dial
    from steering.sliders import Sliders as Sliders
    from steering.vector import SteeringVector as SteeringVector

_HOMES = {
    "ContrastPair": "contrast",
    "ContrastSet": "contrast",
    "Dial": "sliders",
    "LanguageModel": "language_model",
    "Sliders": "sliders",
    "SteeringError": "errors",
    "SteeringVector": "vector",
    "extract": "extraction",
    "from_recipe": "recipes",
    "lint": "contrast_lint",
    "load": "loading",
    "record": "recording",
    "sweep": "generation",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'steering' has no attribute {name!r}")
    return getattr(import_module(f"steering.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
