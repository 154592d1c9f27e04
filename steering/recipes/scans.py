"""Safety-conscious activation steering."""

from dataclasses import replace

from steering.recipes.condition_gate import condition_gate
from steering.recipes.inputs import RecipeInputs
from steering.vectors.push import Push
from steering.vectors.slider import Slider


def scans(inputs: RecipeInputs) -> Slider:
    """The harmful-harmless direction, added where the prompt reads as harmful and taken away where it doesn't.

    `h + σ α v` from the prompt's last token on, in the middle blocks (10 to 19 of 32); σ is 1 or -1 by the prompt. The
    paper appends an answer's first word to the prompt and compares how the activations move from the prompt's end to
    there with harmful prompts' mean move; here the activation at the prompt's end itself is compared with the
    direction, by the threshold of the best F1. Its α is 3.5 at norm 1 on Llama-2-7B; here 1 at the mean difference's.
    """
    moved = inputs.layers(10 / 32, 20 / 32)
    vector = inputs.vector("safety")
    harmful = condition_gate(vector, inputs.activations("safety"), moved[0])
    harmless = replace(harmful, direction=-harmful.direction, bias=-harmful.bias)
    toward = Push(vector, moved, gate=harmful, tokens="answer")
    return Slider((toward, replace(toward, strength=-1.0, gate=harmless)))
