"""Jailbreak Antidote."""

import torch

from steering.recipes.inputs import RecipeInputs
from steering.vectors.push import Push
from steering.vectors.slider import Slider

LAYER_SHARE = 0.375


def jailbreak_antidote(inputs: RecipeInputs) -> Slider:
    """The first principal component of pair differences, its largest 5 % of coordinates, at the best 37.5 % of layers.

    The layers are those that tell held-out sides apart best, by AUROC; the authors rank them by pairwise accuracy.
    """
    vector = inputs.vector("safety", "sparse")
    assert vector.profile is not None
    count = max(1, round(LAYER_SHARE * len(vector.layers)))
    best = torch.tensor(vector.profile.auroc).topk(count).indices.tolist()
    return Slider((Push(vector, tuple(sorted(vector.layers[row] for row in best))),))
