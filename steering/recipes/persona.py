"""Persona vectors."""

from dataclasses import replace

from steering.recipes.inputs import Ingredients
from steering.vectors.steering_vector import SteeringVector


def persona(ingredients: Ingredients) -> SteeringVector:
    """Difference in means over the answers' tokens, added at the best layer at every token.

    The paper reads answers under contrasting system prompts; a set of paired answers gives the same contrast. The
    layer is the one that tells held-out answers apart best between a third and two thirds of the depth.
    """
    vector = ingredients.vector("safety-response", position="generated")
    candidates = ingredients.layers(1 / 3, 2 / 3)
    return replace(vector, recommended_layers=(max(candidates, key=vector.auroc_at),))
