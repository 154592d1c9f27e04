"""Contrastive activation addition."""

from dataclasses import replace

from steering.recipes.inputs import Ingredients
from steering.vectors.steering_vector import SteeringVector


def caa(ingredients: Ingredients) -> SteeringVector:
    """Difference in means of refusing and complying answers, added at one layer from the prompt's end on.

    The paper reads the letter of a two-choice answer and adds at one layer at about 0.4 of the depth (13 of 32). Here
    the answers are sentences, so the mean over their tokens is read.
    """
    vector = ingredients.vector("safety-response")
    return replace(vector, recommended_layers=ingredients.layers(0.4, 0.4), scope="answer")
