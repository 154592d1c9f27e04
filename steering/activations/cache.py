"""Activations that are read once and kept in memory, for several vectors from the same pairs."""

from collections.abc import Iterator, Sequence
from typing import Any

from steering.activations.recording import PairActivations, check_layers, stream_pairs
from steering.data.contrast import ContrastPair
from steering.models.hook_points import HookPoint
from steering.models.language_model import LanguageModel
from steering.models.token_positions import TokenPosition


class ActivationCache:
    """A `PairReader` that remembers. It belongs to one model; memory grows with the pairs.

    Example:
        >>> from steering import ActivationCache, extract
        >>> cache = ActivationCache()
        >>> means = extract(lm, pairs, read=cache, progress=False)
        >>> components = extract(lm, pairs, method="pca", read=cache, progress=False)  # the model doesn't run again
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], list[PairActivations]] = {}

    def __call__(
        self,
        lm: LanguageModel,
        pairs: Sequence[ContrastPair],
        *,
        layers: Sequence[int] | None = None,
        position: TokenPosition = "last",
        hook_point: HookPoint = "resid_post",
        **shown: Any,
    ) -> Iterator[PairActivations]:
        """What `stream_pairs` gives for the same arguments; the model runs the first time only."""
        key = (tuple(pairs), tuple(check_layers(lm, layers)), position, hook_point)
        if key not in self._kept:
            batches = stream_pairs(lm, pairs, layers=layers, position=position, hook_point=hook_point, **shown)
            self._kept[key] = list(batches)
        return iter(self._kept[key])
