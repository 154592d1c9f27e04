"""Extraction methods, one a file: from the states of contrast pairs to one direction a layer.

`DIRECTIONS["mine"] = function` adds your own to what `extract(method=…)` knows.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from steering.activations.recording import PairStates
from steering.directions.difference_in_means import difference_in_means
from steering.directions.lat import lat
from steering.directions.lda import lda
from steering.directions.logistic import logistic
from steering.directions.mean_centred import mean_centred
from steering.directions.pairwise_centred_pca import pairwise_centred_pca
from steering.directions.pca import pca
from steering.directions.random import random
from steering.directions.sparse import sparse

Direction: TypeAlias = Callable[[Iterable[PairStates]], Float[Tensor, "layers d_model"]]
"""A method consumes batches of the two sides' states once and returns one direction a layer, + to the positive side."""

DIRECTIONS: dict[str, Direction] = {
    "difference_in_means": difference_in_means,
    "mean_centred": mean_centred,
    "pca": pca,
    "lat": lat,
    "pairwise_centred_pca": pairwise_centred_pca,
    "logistic": logistic,
    "lda": lda,
    "sparse": sparse,
    "random": random,
}
