"""Jailbreak Antidote."""

from dataclasses import replace

import torch

from steering.recipes.inputs import Ingredients
from steering.vectors.steering_vector import SteeringVector

LAYER_SHARE = 0.375


def jailbreak_antidote(ingredients: Ingredients) -> SteeringVector:
    """The first principal component of pair differences, its largest 5 % of coordinates, at the best 37.5 % of layers.

    The layers are those that tell held-out sides apart best, by AUROC; the authors rank them by pairwise accuracy.
    """
    vector = ingredients.vector("safety", "sparse")
    assert vector.profile is not None
    count = max(1, round(LAYER_SHARE * len(vector.layers)))
    best = torch.tensor(vector.profile.auroc).topk(count).indices.tolist()
    return replace(vector, recommended_layers=tuple(sorted(vector.layers[row] for row in best)))
