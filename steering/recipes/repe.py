"""Representation engineering."""

from steering.recipes.inputs import RecipeInputs
from steering.vectors.push import Push
from steering.vectors.slider import Slider


def repe(inputs: RecipeInputs) -> Slider:
    """LAT reading vectors of harmful and harmless prompts, added at the middle layers (a third to two thirds)."""
    return Slider((Push(inputs.vector("safety", "lat"), inputs.layers(1 / 3, 2 / 3)),))
