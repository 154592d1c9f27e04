"""Extraction methods, one a file: from the activations of contrast pairs to one direction a layer.

`DIRECTIONS["mine"] = function` adds your own to what `extract(method=…)` knows.
"""

from collections.abc import Callable
from typing import TypeAlias

from steering.directions.difference_in_means import difference_in_means, mean_centered
from steering.directions.lat import lat
from steering.directions.lda import lda
from steering.directions.logistic import logistic
from steering.directions.pca import pca
from steering.directions.principal_axis import Batches, Directions
from steering.directions.random import random
from steering.directions.sparse import sparse

Direction: TypeAlias = Callable[[Batches], Directions]
"""A method reads batches of both sides' activations once and gives one direction a layer, + to the positive side."""

DIRECTIONS: dict[str, Direction] = {
    "difference_in_means": difference_in_means,
    "mean_centered": mean_centered,
    "pca": pca,
    "lat": lat,
    "pairwise_centered_pca": pca,
    "logistic": logistic,
    "lda": lda,
    "sparse": sparse,
    "random": random,
}
"""Every method by name: `str` and no `Literal`, since users add their own."""
