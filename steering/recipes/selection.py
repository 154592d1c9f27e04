"""Which direction to use: the search over read positions and layers of Arditi et al. (arXiv 2406.11717), and COSMIC.

Every candidate is tried on a few validation prompts, without generating, and the table of all is kept.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

import torch
from pydantic import BaseModel

from steering.activations.recording import Activations, record
from steering.atomic_write import atomic_write
from steering.data.chats import ChatLike
from steering.display.plots import COLORS
from steering.errors import SteeringError, quoted
from steering.hooks.dial import attach
from steering.models.language_model import LanguageModel
from steering.progress import Progress
from steering.scoring.next_token import kl_divergence, next_token_log_probabilities, refusal_log_odds, refusal_tokens
from steering.vectors.push import Push
from steering.vectors.slider import Slider
from steering.vectors.steering_vector import SteeringVector

MAX_KL = 0.1
"""Nats that ablating a candidate may move the next token on harmless prompts."""
MAX_DEPTH = 0.8
"""Share of the layers from which on no candidate is taken."""
COSMIC_LAYERS = 0.1
"""Share of the layers, those whose activations of both kinds of prompts are least alike, that COSMIC compares at."""
Criterion: TypeAlias = Literal["arditi", "cosmic"]
PICTURES = (".png", ".svg", ".pdf")


class Candidate(BaseModel, frozen=True, extra="forbid"):
    """One (position, layer) and how its direction did."""

    position: str
    layer: int
    bypass: float
    """Arditi: refusal log odds on harmful prompts with the direction ablated everywhere; less is better.
    COSMIC: mean cosine of those prompts' activations with bare harmless ones; more is better."""
    induce: float
    """Arditi: refusal log odds on harmless prompts with the direction added at its layer.
    COSMIC: mean cosine of those prompts' activations with bare harmful ones."""
    kl: float
    """Mean KL of the next token on harmless prompts, ablated at all blocks' outputs against bare, in nats."""
    passes: bool
    """Whether KL (and for Arditi the induced refusal) leave it in the race."""


class Selection(BaseModel, frozen=True, extra="forbid"):
    """All candidates of a search, and the best."""

    criterion: Criterion
    candidates: tuple[Candidate, ...]
    best: Candidate

    def rank(self, candidate: Candidate) -> tuple[bool, float]:
        """Sorts the best candidate first, and those that don't pass last."""
        return _rank(self.criterion, candidate)

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, whole or not at all."""
        with atomic_write(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2), encoding="utf-8")

    def plot(self, path: str | Path) -> None:
        """Write a picture: the scores of every candidate by layer, a line a position, the best one marked."""
        from matplotlib.figure import Figure

        check_picture(path)
        score = "refusal (log odds, nats)" if self.criterion == "arditi" else "likeness (cosine)"
        titles = {
            "bypass": ("harmful prompts, ablated", score),
            "induce": ("harmless prompts, added", score),
            "kl": ("harmless prompts, ablated", "KL of the next token (nats)"),
        }
        figure = Figure(figsize=(12, 3.8), layout="constrained")
        panels = figure.subplots(1, 3)
        positions = list(dict.fromkeys(one.position for one in self.candidates))
        for axes, (name, (title, label)) in zip(panels, titles.items(), strict=True):
            for position, color in zip(positions, itertools.cycle(COLORS), strict=False):
                tried = [one for one in self.candidates if one.position == position]
                values = [getattr(one, name) for one in tried]
                axes.plot([one.layer for one in tried], values, marker=".", color=color, label=position)
            axes.plot(self.best.layer, getattr(self.best, name), "k*", markersize=12, label="chosen")
            axes.set(title=title, ylabel=label, xlabel="layer (output of block)")
        panels[2].axhline(MAX_KL, color="gray", linestyle=":")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(positions) + 1)
        with atomic_write(path) as temporary:
            figure.savefig(temporary)


@dataclass(frozen=True)
class _Bare:
    """What is known of the model before anything is steered."""

    harmful: Sequence[ChatLike]
    harmless: Sequence[ChatLike]
    next_token: torch.Tensor
    """Log-probabilities after the harmless prompts."""
    layers: list[int]
    """Where the activations of the two kinds of prompts are least alike."""
    harmful_activations: Activations
    harmless_activations: Activations


def read_positions(lm: LanguageModel) -> list[str]:
    """Every token of the chat template after the user's text, the last first; the prompt's last without a template."""
    return ["last", *(f"prompt_end:{back}" for back in range(2, lm.post_instruction_length + 1))]


def select_direction(
    lm: LanguageModel,
    vectors: Mapping[str, SteeringVector],
    harmful: Sequence[ChatLike],
    harmless: Sequence[ChatLike],
    *,
    criterion: Criterion = "arditi",
    progress: bool = True,
) -> Selection:
    """Try every layer of every vector and choose.

    Arditi: of the candidates below `MAX_DEPTH` with KL at most `MAX_KL` and positive induced refusal, the one that
    lowers refusal of harmful prompts most when ablated. Where none makes refusal likelier than not, as on small models,
    those count that raise it above the bare model's. COSMIC (arXiv 2506.00085) needs no refusal tokens: it takes the
    largest sum of two cosines, of harmful prompts' activations under ablation with bare harmless ones, and of harmless
    prompts' under addition with bare harmful ones, at the layers where the two are least alike.

    `vectors` are by the position that each was read at; no prompt given here made one of them.

    Raises:
        SteeringError: for an unknown criterion, or when no candidate passes.
    """
    check_criterion(criterion)
    if not harmful or not harmless:
        raise SteeringError(f"Expected prompts of both kinds, found {len(harmful)} harmful, {len(harmless)} harmless.")
    bare = _read_bare(lm, harmful, harmless)
    places = ((position, vector, layer) for position, vector in vectors.items() for layer in vector.layers)
    tried = [place for place in places if place[2] < MAX_DEPTH * lm.n_layers]
    bar = Progress(tried, desc="trying directions", unit="direction", disable=not progress)
    found = [_try(lm, bare, position, vector, layer, criterion) for position, vector, layer in bar]
    if not found:
        raise SteeringError(f"Expected directions at layers below {MAX_DEPTH:g} of the depth, found none to try.")
    least = -torch.inf
    if criterion == "arditi":
        bare_refusal = refusal_log_odds(bare.next_token, refusal_tokens(lm)).mean().item()
        least = 0.0 if any(one.induce > 0 for one in found if one.kl <= MAX_KL) else bare_refusal
    candidates = tuple(one.model_copy(update={"passes": one.kl <= MAX_KL and one.induce > least}) for one in found)
    best = min(candidates, key=partial(_rank, criterion))
    if not best.passes:
        raise SteeringError(
            f"None of {len(candidates)} candidates has KL at most {MAX_KL} and induces refusal; the least KL is "
            f"{min(one.kl for one in candidates):.3f}: choose a layer by hand, with select()."
        )
    return Selection(criterion=criterion, candidates=candidates, best=best)


def _rank(criterion: Criterion, candidate: Candidate) -> tuple[bool, float]:
    score = candidate.bypass if criterion == "arditi" else -(candidate.bypass + candidate.induce)
    return not candidate.passes, score


def check_picture(path: str | Path) -> None:
    """Raise SteeringError unless a picture can be written under this name."""
    if Path(path).suffix.lower() not in PICTURES:
        raise SteeringError(f"Expected a picture's name that ends in {quoted(PICTURES)}, found {str(path)!r}.")


def check_criterion(criterion: str) -> Criterion:
    """The criterion. Raises SteeringError for an unknown one."""
    if criterion not in get_args(Criterion):
        raise SteeringError(f"There is no criterion {criterion!r}; choose from {quoted(get_args(Criterion))}.")
    return cast(Criterion, criterion)


def _read_bare(lm: LanguageModel, harmful: Sequence[ChatLike], harmless: Sequence[ChatLike]) -> _Bare:
    activations = [record(lm, prompts) for prompts in (harmful, harmless)]
    means = [torch.nn.functional.normalize(side.mean(0), dim=-1) for side in activations]
    alike = (means[0] * means[1]).sum(-1)
    layers = sorted(alike.topk(max(1, round(COSMIC_LAYERS * lm.n_layers)), largest=False).indices.tolist())
    next_token = next_token_log_probabilities(lm, harmless)
    return _Bare(harmful, harmless, next_token, layers, *(side[:, layers] for side in activations))


def _try(
    lm: LanguageModel, bare: _Bare, position: str, vector: SteeringVector, layer: int, criterion: Criterion
) -> Candidate:
    everywhere = SteeringVector(vector[layer].expand(lm.n_layers, vector.d_model), origin=vector.origin)
    sliders = {"ablate": Slider((Push(everywhere, intervention="ablate"),)), "add": Slider((Push(vector, (layer,)),))}
    with attach(sliders, lm) as dial:
        dial.set(ablate=1.0)
        kl = kl_divergence(bare.next_token, next_token_log_probabilities(lm, bare.harmless)).mean().item()
        bypass = _score(lm, bare.harmful, bare, bare.harmless_activations, criterion)
        dial.set(ablate=0.0, add=1.0)
        induce = _score(lm, bare.harmless, bare, bare.harmful_activations, criterion)
    return Candidate(position=position, layer=layer, bypass=bypass, induce=induce, kl=kl, passes=False)


def _score(
    lm: LanguageModel, prompts: Sequence[ChatLike], bare: _Bare, wanted: Activations, criterion: Criterion
) -> float:
    if criterion == "arditi":
        return refusal_log_odds(next_token_log_probabilities(lm, prompts), refusal_tokens(lm)).mean().item()
    activations = record(lm, prompts, layers=bare.layers)
    return torch.nn.functional.cosine_similarity(activations.mean(0), wanted.mean(0), dim=-1).mean().item()
