"""The refusal direction."""

from dataclasses import replace

from steering.extraction import extract
from steering.recipes.inputs import Ingredients, with_directions
from steering.recipes.selection import Selection, read_positions, select_direction
from steering.vectors.steering_vector import SteeringVector

PAIRS = 80
"""Pairs for the search, a fifth of which is held out: 64 make the candidates, of 128 prompts as in the paper."""


def refusal_direction(ingredients: Ingredients) -> SteeringVector:
    """One direction of harmful against harmless prompts: added at its layer above 0, ablated at all layers below 0.

    Position and layer are searched as in the paper, on fewer validation prompts than its 32: see the selection.
    The direction at the chosen place is then made from all pairs. Ablation is at every block's output; the paper also
    ablates the embeddings and the outputs of attention and MLP, so that inside a block something is left here.
    """
    best = search(ingredients).best
    vector = ingredients.vector("safety", position=best.position)
    everywhere = vector[best.layer].expand_as(vector.directions)
    ablation = replace(
        with_directions(vector, everywhere), intervention="ablate", unit=-1.0, recommended_layers=vector.layers
    )
    return replace(vector, intervention="add_above", recommended_layers=(best.layer,), companions=(ablation,))


def search(ingredients: Ingredients, criterion: str = "arditi") -> Selection:
    """The search behind the recipe, on prompts that were held out of the vectors: the table of all candidates."""
    whole = ingredients.contrast_set("safety")
    rest, held_out = whole.split()
    few = rest.spread(PAIRS)
    validation = held_out.spread(ingredients.validation_pairs)
    lm = ingredients.lm
    return select_direction(
        lm,
        {
            position: extract(lm, few, position=position, progress=ingredients.progress, read=ingredients.read)
            for position in read_positions(lm)
        },
        [pair.positive for pair in validation],
        [pair.negative for pair in validation],
        criterion=criterion,
        progress=ingredients.progress,
    )
