"""What recipes are made from: a model, contrast sets by role, and states that are read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from steering.contrast import ContrastPair, ContrastSet
from steering.errors import SteeringError, quoted
from steering.extraction import extract
from steering.kept_states import KeptStates
from steering.language_model import LanguageModel
from steering.moments import Moments
from steering.recording import States
from steering.vector import SteeringVector

ROLES = ("safety", "safety-response", "helpfulness", "over-refusal")
"""What a recipe may ask for: harmful and harmless prompts; harmful prompts refused and complied with; ordinary prompts
with engaged answers; look-alikes that must be answered. Each is the built-in set of that name, unless given."""


@dataclass(frozen=True)
class Ingredients:
    """One model and the contrast sets that recipes read."""

    lm: LanguageModel
    sets: Mapping[str, ContrastSet] = field(default_factory=dict)
    """Your own sets, by role."""
    progress: bool = True
    validation_pairs: int = 16
    """Held-out pairs whose prompts the candidates of a search are tried on."""
    read: KeptStates = field(default_factory=KeptStates)

    def __post_init__(self) -> None:
        if unknown := set(self.sets) - {*ROLES}:
            raise SteeringError(f"There is no role {quoted(unknown)} for a contrast set; choose from {quoted(ROLES)}.")

    def contrast_set(self, role: str) -> ContrastSet:
        """The set that plays a role."""
        return self.sets.get(role) or ContrastSet.builtin(role)

    def vector(self, role: str, method: str = "difference_in_means", position: str | None = None) -> SteeringVector:
        """The extracted vector of a set, all layers."""
        return extract(
            self.lm,
            self.contrast_set(role),
            method=method,
            position=position,
            progress=self.progress,
            read=self.read,
        )

    def states(self, role: str, position: str = "last", site: str = "block") -> tuple[States, States]:
        """States of the positive and the negative sides of the pairs that make vectors."""
        return self._read(self.contrast_set(role).split()[0].pairs, position, role, site)

    def prompts(self, role: str, side: str = "positive") -> States:
        """States of one side's prompts at their last token, without the answers."""
        pairs = self.contrast_set(role).split()[0].pairs
        stripped = [
            pair.model_copy(update={"positive": prompt, "negative": prompt})
            for pair, chat in ((pair, getattr(pair, side)) for pair in pairs)
            for prompt in [chat[:-1] if chat[-1].role == "assistant" else chat]
        ]
        return self._read(stripped, "last", f"{role}, {side} prompts")[0]

    def _read(
        self, pairs: Sequence[ContrastPair], position: str, what: str, site: str = "block"
    ) -> tuple[States, States]:
        batches = list(
            self.read(self.lm, pairs, position=position, site=site, progress=self.progress, description=what)
        )
        positive, negative = (torch.cat(side) for side in zip(*batches, strict=True))
        return positive, negative

    def layers(self, start: float, stop: float) -> tuple[int, ...]:
        """Blocks between two depths, as shares of the number of layers; at least one."""
        first = round(start * self.lm.n_layers)
        return tuple(range(first, max(first + 1, round(stop * self.lm.n_layers))))


def moments(states: States) -> Moments:
    """Moments of states that are at hand."""
    found = Moments()
    found.update(states)
    return found


def with_directions(vector: SteeringVector, directions: Float[Tensor, "layers d_model"]) -> SteeringVector:
    """The same vector along other directions; its figures no longer hold."""
    return replace(vector, directions=directions.float(), profile=None)
