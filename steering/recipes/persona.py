"""Persona vectors."""

from steering.recipes.inputs import RecipeInputs
from steering.vectors.push import Push
from steering.vectors.slider import Slider


def persona(inputs: RecipeInputs) -> Slider:
    """Difference in means over the answers' tokens, added at the best layer at every token.

    The paper reads answers under contrasting system prompts; a set of paired answers gives the same contrast. The
    layer is the one that tells held-out answers apart best between a third and two thirds of the depth.
    """
    vector = inputs.vector("safety-response", position="generated")
    return Slider((Push(vector, (max(inputs.layers(1 / 3, 2 / 3), key=vector.auroc_at),)),))
