"""Steering: directions from contrast sets, and sliders that move a language model along them.

Names are imported on first use, so that `import steering` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steering.activations.recording import record as record
    from steering.data.contrast import ContrastPair as ContrastPair
    from steering.data.contrast import ContrastSet as ContrastSet
    from steering.data.lint import lint as lint
    from steering.errors import SteeringError as SteeringError
    from steering.explore.logit_lens import logit_lens as logit_lens
    from steering.explore.patching import patching_profile as patching_profile
    from steering.extraction import extract as extract
    from steering.hooks.sliders import Dial as Dial
    from steering.hooks.sliders import Sliders as Sliders
    from steering.hooks.sweep import sweep as sweep
    from steering.models.language_model import LanguageModel as LanguageModel
    from steering.models.loading import load as load
    from steering.recipes import from_recipe as from_recipe
    from steering.vectors.steering_vector import SteeringVector as SteeringVector

_HOMES = {
    "ContrastPair": "data.contrast",
    "ContrastSet": "data.contrast",
    "Dial": "hooks.sliders",
    "LanguageModel": "models.language_model",
    "Sliders": "hooks.sliders",
    "SteeringError": "errors",
    "SteeringVector": "vectors.steering_vector",
    "extract": "extraction",
    "from_recipe": "recipes",
    "lint": "data.lint",
    "load": "models.loading",
    "logit_lens": "explore.logit_lens",
    "patching_profile": "explore.patching",
    "record": "activations.recording",
    "sweep": "hooks.sweep",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'steering' has no attribute {name!r}")
    return getattr(import_module(f"steering.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
