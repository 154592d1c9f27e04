"""Adaptive steering."""

from steering.interventions.gates import linear_gate
from steering.recipes.inputs import RecipeInputs, with_directions
from steering.scoring.next_token import refusal_score
from steering.vectors.geometry import orthogonalize
from steering.vectors.push import Push
from steering.vectors.slider import Slider

SHARE = 1 / 3
"""Share of the harmful prompts at each end of the refusal score: they count as refused, and as complied with."""


def adasteer(inputs: RecipeInputs) -> Slider:
    """A refusal and a harmfulness direction, each with a coefficient that is linear in the prompt's projection on it.

    The refusal direction leads from harmful prompts that the model complies with to those that it refuses, and is added
    the more, the further against it a prompt lies: 0 at the refused ones' mean, 1 at the others', up to 2 (R-Law). The
    harmfulness direction leads from ordinary prompts to harmful ones that are complied with, is made orthogonal to it,
    and is taken away where the prompt reads as ordinary: 1 at the ordinary mean, 0 at the harmful one (H-Law). The
    paper fits its lines on validation sets and sorts prompts by the answers; here the first token's refusal sorts them.
    """
    vector = inputs.vector("safety")
    harmful, ordinary = inputs.activations("safety")[0], inputs.prompt_activations("helpfulness")
    pairs = inputs.contrast_set("safety").split()[0]
    order = refusal_score(inputs.lm, [pair.positive for pair in pairs]).argsort()
    count = max(1, round(SHARE * len(order)))
    complied, refused = harmful[order[:count]], harmful[order[-count:]]
    refusal = with_directions(vector, refused.double().mean(0) - complied.double().mean(0))
    harmfulness = with_directions(vector, complied.double().mean(0) - ordinary.double().mean(0))
    layer = vector.recommended_layers[0]
    more = linear_gate(layer, refusal[layer], complied[:, layer], refused[:, layer], low=0.0, high=2.0)
    less = linear_gate(layer, harmfulness[layer], ordinary[:, layer], complied[:, layer], low=0.0, high=2.0)
    away = Push(orthogonalize(harmfulness, refusal), strength=-1.0, gate=less)
    return Slider((Push(refusal, gate=more), away))
