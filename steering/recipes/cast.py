"""Conditional activation steering."""

from steering.recipes.condition_gate import condition_gate
from steering.recipes.inputs import RecipeInputs
from steering.vectors.push import Push
from steering.vectors.slider import Slider


def cast(inputs: RecipeInputs) -> Slider:
    """A refusal vector that is added only where the prompt's activation is close to a harmfulness condition.

    Both vectors are pairwise-centered PCA, of refusing and complying answers and of harmful and harmless prompts. The
    condition's layer and threshold are those of the best F1, searched below the layers that are moved; those are at the
    depths that the paper moves (15 to 23 of 32). The paper's own code compares the activation with its projection's
    tanh and reads the mean over the prompt's tokens; here it is the cosine at the last one.
    """
    moved = inputs.layers(15 / 32, 24 / 32)
    behavior = inputs.vector("safety-response", "pairwise_centered_pca")
    condition = inputs.vector("safety", "pairwise_centered_pca")
    gate = condition_gate(condition, inputs.activations("safety"), moved[0])
    return Slider((Push(behavior, moved, gate=gate),))
