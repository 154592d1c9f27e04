"""Adaptive steering."""

from dataclasses import replace

from steering.gates import linear_gate
from steering.geometry import orthogonalize
from steering.recipes.ingredients import Ingredients, with_directions
from steering.vector import SteeringVector


def adasteer(ingredients: Ingredients) -> SteeringVector:
    """A refusal and a harmfulness direction, each with a coefficient that is linear in the prompt's own projection.

    The refusal direction (refused against complied, both harmful) is added the more, the more harmful the prompt
    reads: 1 at the harmful prompts' mean, 0 at the ordinary ones', up to 2. The harmfulness direction (complied
    harmful against complied benign), made orthogonal to it, is taken away the more, the more ordinary the prompt reads.
    The paper fits both lines on validation sets and moves every layer; here the layers are the recommended ones.
    """
    refusal = ingredients.vector("safety-response")
    complied_harmful = ingredients.states("safety-response", "response_mean")[1].double().mean(0)
    complied_benign = ingredients.states("helpfulness", "response_mean")[0].double().mean(0)
    raw_harmfulness = with_directions(refusal, complied_harmful - complied_benign)
    harmfulness = orthogonalize(raw_harmfulness, refusal)
    harmful, ordinary = ingredients.prompts("safety"), ingredients.prompts("helpfulness")
    layer = refusal.recommended_layers[0]
    reader = harmful[:, layer].double().mean(0) - ordinary[:, layer].double().mean(0)
    more = linear_gate(layer, reader, harmful[:, layer], ordinary[:, layer], low=0.0, high=2.0)
    less = linear_gate(layer, reader, ordinary[:, layer], harmful[:, layer], low=0.0, high=2.0)
    return replace(refusal, gate=more, companions=(replace(harmfulness, gate=less, unit=-1.0),))
