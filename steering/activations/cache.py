"""States that are read once and kept in memory, for several vectors from the same pairs."""

from collections.abc import Iterator, Sequence

from steering.activations.recording import PairStates, check_layers, stream_pairs
from steering.data.contrast import ContrastPair
from steering.models.language_model import LanguageModel


class KeptStates:
    """A `PairReader` that remembers. It belongs to one model; memory grows with the pairs."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], list[PairStates]] = {}

    def __call__(
        self,
        lm: LanguageModel,
        pairs: Sequence[ContrastPair],
        *,
        layers: Sequence[int] | None = None,
        position: str = "last",
        site: str = "block",
        progress: bool = True,
        description: str = "reading states",
    ) -> Iterator[PairStates]:
        """States of the pairs; from the model the first time only."""
        key = (tuple(pairs), tuple(check_layers(lm, layers)), position, site)
        if key not in self._kept:
            batches = stream_pairs(
                lm, pairs, layers=layers, position=position, site=site, progress=progress, description=description
            )
            self._kept[key] = list(batches)
        return iter(self._kept[key])
