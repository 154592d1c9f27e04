"""Surgical, or false-refusal, ablation."""

from steering.recipes.inputs import RecipeInputs, with_directions
from steering.vectors.geometry import orthogonalize
from steering.vectors.push import Push
from steering.vectors.slider import Slider


def surgical(inputs: RecipeInputs) -> Slider:
    """The false-refusal direction, made orthogonal to true refusal, is ablated at every layer: a helpfulness slider.

    False refusal is look-alikes against ordinary prompts, true refusal harmful against harmless ones. The direction of
    one layer, the first recommended one of true refusal, is taken away at every block's output; the paper also takes it
    away inside the blocks.
    """
    true_refusal = inputs.vector("safety")
    look_alikes, ordinary = (inputs.prompt_activations(role).double() for role in ("over-refusal", "helpfulness"))
    false_refusal = with_directions(true_refusal, look_alikes.mean(0) - ordinary.mean(0))
    cleaned = orthogonalize(false_refusal, true_refusal)
    direction = cleaned[true_refusal.recommended_layers[0]]
    everywhere = with_directions(cleaned, direction.expand_as(cleaned.directions))
    return Slider((Push(everywhere, everywhere.layers, intervention="ablate"),))
