"""Affine concept editing."""

from dataclasses import replace

from steering.recipes.inputs import RecipeInputs
from steering.vectors.push import Push
from steering.vectors.slider import Slider


def ace(inputs: RecipeInputs) -> Slider:
    """The projection on the harmful-harmless direction is set: to the harmful mean at 1, to the harmless one at -1.

    The paper's `h - r̂r̂ᵀh + (h_ref·r̂) r̂ + α v` with the harmless mean for h_ref; its α is `(x + 1)/2` here, and between
    the ends the activation is moved part of the way, so that 0 leaves it alone.
    """
    vector = inputs.vector("safety")
    positive, negative = inputs.activations("safety")
    middle = (positive.double().mean(0) + negative.double().mean(0)) / 2
    push = Push(
        replace(vector, directions=vector.directions / 2),
        vector.recommended_layers[:1],
        intervention="set_projection",
        tensors={"center": middle.float()},
    )
    return Slider((push,))
