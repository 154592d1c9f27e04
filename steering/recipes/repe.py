"""Representation engineering."""

from dataclasses import replace

from steering.recipes.inputs import Ingredients
from steering.vectors.steering_vector import SteeringVector


def repe(ingredients: Ingredients) -> SteeringVector:
    """LAT reading vectors of harmful and harmless prompts, added at the middle layers (a third to two thirds)."""
    return replace(ingredients.vector("safety", "lat"), recommended_layers=ingredients.layers(1 / 3, 2 / 3))
