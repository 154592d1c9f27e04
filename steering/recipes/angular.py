"""Angular steering."""

import torch

from steering.recipes.inputs import RecipeInputs, with_directions
from steering.vectors.push import Push
from steering.vectors.slider import Slider


def angular(inputs: RecipeInputs) -> Slider:
    """Activations are rotated towards the harmful-harmless direction in one plane, the same at every layer.

    The plane is spanned by the direction of the first recommended layer and the first principal component of all
    layers' directions. At 1 an activation's part in the plane points along the direction, at -1 against it.
    """
    vector = inputs.vector("safety")
    first = vector[vector.recommended_layers[0]]
    unit = torch.nn.functional.normalize(vector.directions, dim=-1)
    second = torch.linalg.svd(unit - unit.mean(0), full_matrices=False).Vh[0]
    rotated = with_directions(vector, first.expand_as(vector.directions))
    plane = {"second_direction": second.expand_as(vector.directions)}
    return Slider((Push(rotated, vector.layers, intervention="rotate", tensors=plane),))
