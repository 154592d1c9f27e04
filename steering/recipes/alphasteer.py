"""AlphaSteer: null-space constrained steering."""

from dataclasses import replace

import torch

from steering.recipes.inputs import Ingredients, moments
from steering.recipes.null_space import null_space_projector, null_space_reader
from steering.vectors.steering_vector import SteeringVector


def alphasteer(ingredients: Ingredients) -> SteeringVector:
    """A refusal vector, pushed by a linear map of the state that is about 1 on harmful states and 0 on benign ones.

    Benign states are the last prompt tokens of ordinary prompts and look-alikes, whose null space the map is confined
    to; harmful ones those of the safety set. It acts from the prompt's last token on: the map was fitted there.
    """
    vector = ingredients.vector("safety-response")
    benign = torch.cat(
        [
            ingredients.prompts("helpfulness"),
            ingredients.prompts("over-refusal"),
            ingredients.prompts("safety", "negative"),
        ]
    )
    projector = null_space_projector(moments(benign))
    reader = null_space_reader(projector, moments(ingredients.prompts("safety")))
    return replace(vector, intervention="add_mapped", reference=reader.float(), scope="answer")
