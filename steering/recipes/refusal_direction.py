"""The refusal direction."""

from steering.extraction import extract
from steering.recipes.inputs import RecipeInputs, with_directions
from steering.recipes.selection import Criterion, Selection, read_positions, select_direction
from steering.vectors.push import Push
from steering.vectors.slider import Slider

PAIRS = 80
"""Pairs for the search, a fifth of which is held out: 64 make the candidates, of 128 prompts as in the paper."""


def refusal_direction(inputs: RecipeInputs) -> Slider:
    """One direction of harmful against harmless prompts: added at its layer above 0, ablated at all layers below 0.

    Position and layer are searched as in the paper, on fewer validation prompts than its 32: see the selection.
    The direction at the chosen place is then made from all pairs. Ablation is at every block's output; the paper also
    ablates the embeddings and the outputs of attention and MLP, so that inside a block something is left here.
    """
    best = search(inputs).best
    vector = inputs.vector("safety", position=best.position)
    everywhere = with_directions(vector, vector[best.layer].expand_as(vector.directions))
    addition = Push(vector, (best.layer,), intervention="add_above")
    return Slider((addition, Push(everywhere, vector.layers, -1.0, "ablate")))


def search(inputs: RecipeInputs, criterion: Criterion = "arditi") -> Selection:
    """The search behind the recipe, on prompts that were held out of the vectors: the table of all candidates."""
    rest, held_out = inputs.contrast_set("safety").split()
    few, validation = rest.spread(PAIRS), held_out.spread(inputs.validation_pairs)
    vectors = {
        position: extract(inputs.lm, few, position=position, progress=inputs.progress, read=inputs.read)
        for position in read_positions(inputs.lm)
    }
    harmful, harmless = [pair.positive for pair in validation], [pair.negative for pair in validation]
    return select_direction(inputs.lm, vectors, harmful, harmless, criterion=criterion, progress=inputs.progress)
