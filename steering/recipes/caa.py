"""Contrastive activation addition."""

from steering.recipes.inputs import RecipeInputs
from steering.vectors.push import Push
from steering.vectors.slider import Slider


def caa(inputs: RecipeInputs) -> Slider:
    """Difference in means of refusing and complying answers, added at one layer from the prompt's end on.

    The paper reads the letter of a two-choice answer and adds at one layer at about 0.4 of the depth (13 of 32). Here
    the answers are sentences, so the mean over their tokens is read.
    """
    return Slider((Push(inputs.vector("safety-response"), inputs.layers(0.4, 0.4), tokens="answer"),))
