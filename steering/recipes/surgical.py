"""Surgical, or false-refusal, ablation."""

from dataclasses import replace

from steering.recipes.inputs import Ingredients, with_directions
from steering.vectors.geometry import orthogonalize
from steering.vectors.steering_vector import SteeringVector

STRENGTH = 1.0
"""λ of `w' = w - λ r̂ r̂ᵀ w`."""


def surgical(ingredients: Ingredients) -> SteeringVector:
    """The false-refusal direction, made orthogonal to true refusal, is ablated at every layer: a helpfulness slider.

    False refusal is look-alikes against ordinary prompts, true refusal harmful against harmless ones. The direction of
    one layer, the first recommended one of true refusal, is taken away at every block's output; the paper also takes it
    away inside the blocks.
    """
    true_refusal = ingredients.vector("safety")
    look_alikes, ordinary = ingredients.prompts("over-refusal"), ingredients.prompts("helpfulness")
    false_refusal = with_directions(true_refusal, look_alikes.double().mean(0) - ordinary.double().mean(0))
    cleaned = orthogonalize(false_refusal, true_refusal, STRENGTH)
    direction = cleaned[true_refusal.recommended_layers[0]]
    everywhere = direction.expand_as(cleaned.directions)
    return replace(with_directions(cleaned, everywhere), intervention="ablate", recommended_layers=true_refusal.layers)
