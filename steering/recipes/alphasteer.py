"""AlphaSteer: null-space constrained steering."""

import torch

from steering.recipes.inputs import RecipeInputs, moments
from steering.recipes.null_space import null_space_projector, null_space_reader
from steering.vectors.slider import Push, Slider


def alphasteer(inputs: RecipeInputs) -> Slider:
    """A refusal vector, pushed by a linear map of the state that is about 1 on harmful states and 0 on benign ones.

    Benign states are the last prompt tokens of ordinary prompts and look-alikes, whose null space the map is confined
    to; harmful ones those of the safety set. It acts from the prompt's last token on: the map was fitted there.
    """
    vector = inputs.vector("safety-response")
    benign = torch.cat(
        [
            inputs.prompts("helpfulness"),
            inputs.prompts("over-refusal"),
            inputs.prompts("safety", "negative"),
        ]
    )
    projector = null_space_projector(moments(benign))
    reader = null_space_reader(projector, moments(inputs.prompts("safety")))
    push = Push(vector, intervention="add_mapped", tensors={"reader": reader.float()}, tokens="answer")
    return Slider((push,))
