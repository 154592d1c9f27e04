"""What recipes are made from: a model, contrast sets by role, and activations that are read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from steering.activations.cache import ActivationCache
from steering.activations.moments import Moments
from steering.activations.recording import Activations, check_finite, record
from steering.data.contrast import ContrastPair, ContrastSet
from steering.errors import SteeringError, quoted
from steering.extraction import extract
from steering.models.hook_points import HookPoint
from steering.models.language_model import LanguageModel
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
    prompt_states: dict[tuple[str, str], Activations] = field(default_factory=dict)
    """What `prompts` has read, by role and side."""
    sources: dict[tuple[str, str], Source] = field(default_factory=dict)
    """What was read since this was last cleared, by set and position."""

    def __post_init__(self) -> None:
        if unknown := set(self.sets) - {*ROLES}:
            raise SteeringError(f"There is no role {quoted(unknown)} for a contrast set; choose from {quoted(ROLES)}.")
        for role, pairs in self.sets.items():
            wanted = "answers" if ROLES[role] == "assistant" else "prompts"
            found = "nothing" if not len(pairs) else "answers" if pairs.ends_with_answer else "prompts"
            if found != wanted:
                raise SteeringError(
                    f"Expected pairs of {wanted} as {role!r}, found {found} in {pairs.name!r}; give it another role."
                )

    def contrast_set(self, role: str) -> ContrastSet:
        """The set that plays a role."""
        return self.sets[role] if role in self.sets else ContrastSet.builtin(role)

    def vector(self, role: str, method: str = "difference_in_means", position: str | None = None) -> SteeringVector:
        """The extracted vector of a set, all layers."""
        vector = extract(
            self.lm,
            self.contrast_set(role),
            method=method,
            position=position,
            progress=self.progress,
            read=self.read,
        )
        assert vector.origin is not None
        for source in vector.origin.sources:
            self.sources[source.contrast_set, f"{source.method} at {source.position}"] = source
        return vector

    def states(
        self, role: str, position: str = "last", hook_point: HookPoint = "resid_post"
    ) -> tuple[Activations, Activations]:
        """States of the positive and the negative sides of the pairs that make vectors."""
        self._note(role, "states" if hook_point == "resid_post" else "states of heads", position)
        return self._read(self.contrast_set(role).split()[0].pairs, position, role, hook_point)

    def prompts(self, role: str, side: str = "positive") -> Activations:
        """States of one side's prompts at their last token, without the answers; each prompt is read once."""
        if ROLES[role] == "user":
            return self.states(role)[0 if side == "positive" else 1]
        self._note(role, f"{side} prompts", "last")
        if (role, side) not in self.prompt_states:
            chats = [getattr(pair, side)[:-1] for pair in self.contrast_set(role).split()[0]]
            with tqdm(total=len(chats), desc=f"{role}: prompts", unit="chat", disable=not self.progress) as bar:
                self.prompt_states[role, side] = record(self.lm, chats, progress=bar.update)
            check_finite(self.prompt_states[role, side])
        return self.prompt_states[role, side]

    def _note(self, role: str, what: str, position: str) -> None:
        whole = self.contrast_set(role)
        rest, held_out = whole.split()
        self.sources[whole.name, f"{what} at {position}"] = Source(
            contrast_set=whole.name,
            fingerprint=whole.fingerprint,
            pairs=len(rest),
            held_out_pairs=len(held_out),
            method=what,
            position=position,
        )

    def _read(
        self, pairs: Sequence[ContrastPair], position: str, what: str, hook_point: HookPoint = "resid_post"
    ) -> tuple[Activations, Activations]:
        read = partial(self.read, progress=self.progress, description=what)
        batches = list(read(self.lm, pairs, position=position, hook_point=hook_point))
        positive, negative = (torch.cat(side) for side in zip(*batches, strict=True))
        check_finite(positive, negative)
        return positive, negative

    def layers(self, start: float, stop: float) -> tuple[int, ...]:
        """Blocks between two depths, as shares of the number of layers; at least one."""
        first = round(start * self.lm.n_layers)
        return tuple(range(first, max(first + 1, round(stop * self.lm.n_layers))))


def moments(states: Activations) -> Moments:
    """Moments of states that are at hand."""
    found = Moments()
    found.update(states)
    return found


def with_directions(vector: SteeringVector, directions: Float[Tensor, "layers d_model"]) -> SteeringVector:
    """The same vector along other directions; its figures no longer hold."""
    return replace(vector, directions=directions.float(), profile=None)
