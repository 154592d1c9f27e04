"""What recipes are made from: a model, contrast sets by role, and activations that are read once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from steering.activations.cache import ActivationCache
from steering.activations.moments import Moments
from steering.activations.recording import Activations, PairActivations, check_finite, record
from steering.data.contrast import ContrastSet
from steering.errors import SteeringError, quoted
from steering.extraction import extract
from steering.models.hook_points import HookPoint
from steering.models.language_model import LanguageModel
from steering.progress import Progress
from steering.vectors.provenance import Source
from steering.vectors.steering_vector import SteeringVector

ROLES = {"safety": "user", "safety-response": "assistant", "helpfulness": "assistant", "over-refusal": "assistant"}
"""What a recipe may ask for, and whose turn its chats end with.

Harmful and harmless prompts; harmful prompts refused and complied with; ordinary prompts with engaged answers;
look-alikes that must be answered. Each is the built-in set of that name, unless given.
"""


@dataclass(frozen=True)
class RecipeInputs:
    """One model and the contrast sets that recipes read."""

    lm: LanguageModel
    sets: Mapping[str, ContrastSet] = field(default_factory=dict)
    """Your own sets, by role."""
    progress: bool = True
    validation_pairs: int = 16
    """Held-out pairs whose prompts the candidates of a search are tried on."""
    read: ActivationCache = field(default_factory=ActivationCache)
    cached_prompt_activations: dict[str, Activations] = field(default_factory=dict)
    """What `prompt_activations` has read, by role."""
    sources: dict[Source, None] = field(default_factory=dict)
    """What was read since this was last cleared, in order."""

    def __post_init__(self) -> None:
        if unknown := set(self.sets) - {*ROLES}:
            raise SteeringError(f"There is no role {quoted(unknown)} for a contrast set; choose from {quoted(ROLES)}.")
        for role, pairs in self.sets.items():
            wanted = "answers" if ROLES[role] == "assistant" else "prompts"
            found = "nothing" if not len(pairs) else "answers" if pairs.ends_with_answer else "prompts"
            if found != wanted:
                found += f" in {pairs.name!r}"
                raise SteeringError(f"Expected pairs of {wanted} as {role!r}, found {found}; give it another role.")

    def contrast_set(self, role: str) -> ContrastSet:
        """The set that plays a role.

        Args:
            role: a name in `ROLES`.
        """
        return self.sets[role] if role in self.sets else ContrastSet.builtin(role)

    def vector(self, role: str, method: str = "difference_in_means", position: str | None = None) -> SteeringVector:
        """Extract the vector of a set.

        Args:
            role: a name in `ROLES`.
            method: as `extract` takes it.
            position: as `extract` takes it.
        """
        vector = extract(
            self.lm, self.contrast_set(role), method=method, position=position, progress=self.progress, read=self.read
        )
        assert vector.origin is not None
        self.sources.update(dict.fromkeys(vector.origin.sources))
        return vector

    def activations(self, role: str, hook_point: HookPoint = "resid_post") -> PairActivations:
        """Read the last token of both sides of the pairs that make vectors.

        Args:
            role: a name in `ROLES`.
            hook_point: as `record` takes it.
        """
        pairs = self._noted(role, "activations" if hook_point == "resid_post" else "activations of heads")
        batches = self.read(self.lm, pairs.pairs, hook_point=hook_point, progress=self.progress, description=role)
        positive, negative = (torch.cat(side) for side in zip(*batches, strict=True))
        check_finite(positive, negative)
        return positive, negative

    def prompt_activations(self, role: str) -> Activations:
        """Read the last token of the positive sides' prompts, without their answers, once each.

        Args:
            role: a name in `ROLES`.
        """
        pairs = self._noted(role, "prompts")
        if role not in self.cached_prompt_activations:
            chats = [pair.positive[:-1] for pair in pairs]
            with Progress(total=len(chats), desc=f"{role}: prompts", unit="chat", disable=not self.progress) as bar:
                activations = record(self.lm, chats, progress=bar.update)
            check_finite(activations)
            self.cached_prompt_activations[role] = activations
        return self.cached_prompt_activations[role]

    def _noted(self, role: str, what: str) -> ContrastSet:
        """The pairs of a role that make vectors; that they are read for this becomes a source."""
        whole = self.contrast_set(role)
        used, _ = whole.split()
        self.sources[Source.of(whole, used, what, "last")] = None
        return used

    def layers(self, start: float, stop: float) -> tuple[int, ...]:
        """Blocks between two depths.

        Args:
            start: the first block's depth, as a share of the number of layers.
            stop: where the blocks end, as such a share.
        """
        first = round(start * self.lm.n_layers)
        return tuple(range(first, max(first + 1, round(stop * self.lm.n_layers))))


def moments(activations: Activations) -> Moments:
    """Moments of activations that are at hand."""
    found = Moments()
    found.update(activations)
    return found


def with_directions(vector: SteeringVector, directions: Float[Tensor, "layers d_model"]) -> SteeringVector:
    """The same vector along other directions; its figures no longer hold."""
    return replace(vector, directions=directions.float(), profile=None)
