"""AlphaSteer: null-space constrained steering."""

import torch

from steering.recipes.inputs import RecipeInputs, moments
from steering.recipes.null_space import null_space_projector, null_space_reader
from steering.vectors.push import Push
from steering.vectors.slider import Slider


def alphasteer(inputs: RecipeInputs) -> Slider:
    """A refusal vector, pushed by a linear map of the activation that is about 1 on harmful ones and 0 on benign ones.

    Benign are those at the last prompt tokens of ordinary prompts and look-alikes, whose null space the map is confined
    to; harmful those of the safety set. It acts from the prompt's last token on: the map was fitted there.
    """
    vector = inputs.vector("safety-response")
    ordinary, look_alikes = inputs.prompt_activations("helpfulness"), inputs.prompt_activations("over-refusal")
    harmful, harmless = inputs.activations("safety")
    projector = null_space_projector(moments(torch.cat([ordinary, look_alikes, harmless])))
    reader = null_space_reader(projector, moments(harmful))
    push = Push(vector, intervention="add_mapped", tensors={"reader": reader.float()}, tokens="answer")
    return Slider((push,))
