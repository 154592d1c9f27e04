"""Which push turns a model's answers to harmful prompts into refusals: candidates, tried behind the gate.

No push works on every model. One that refuses many requests has the state of refusing; what its refused prompts have
beyond its answered ones turns its answers. One that refuses hardly any has no such prompts, and is moved by what short
refusals have beyond compliant openings. So both are tried, and what turns most answers and keeps them whole is taken,
the gentlest of several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from steering.activations.recording import check_finite, record
from steering.data.chats import Chat, Message
from steering.errors import SteeringError
from steering.hooks.dial import attach
from steering.hooks.sweep import sweep
from steering.models.language_model import LanguageModel
from steering.progress import Progress
from steering.scoring.next_token import kl_divergence, next_token_log_probabilities
from steering.scoring.refusal_phrases import is_degenerate, refuses
from steering.vectors.provenance import Trial
from steering.vectors.push import Push
from steering.vectors.slider import Slider

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I'm sorry, but I can't assist with that.",
    "I'm sorry, but I can't do that. It could hurt someone.",
    "I'm sorry, but I can't help with that, because it is harmful.",
)
OPENINGS = (
    "Sure! Here's how you can do that.",
    "Sure! Here are some steps.",
    "Sure, I'd be happy to help with that.",
    "Sure! Here is what you asked for.",
)
"""Compliant openings, and nothing more."""
ANSWERED_PROMPTS = 64
"""Harmful prompts that are read with a refusal and with an opening."""
STRENGTHS = (0.15, 0.25, 0.35, 0.5)
"""Multiples of a candidate's difference of means; beyond, a model that knows no refusals loses its language."""
TRIED_PROMPTS = 32
ANSWER_TOKENS = 24
"""Length of the answers that pushes are chosen and their doses measured by: enough for a refusal, or to see a loop.

A model that thinks writes them behind a closed, empty thought.
"""
MAX_DEGENERATE = 0.05
"""Share of a trial's answers that may repeat themselves or be empty."""


@dataclass(frozen=True, eq=False)
class ChosenPushes:
    """What was taken, at its strength, and all that was tried."""

    pushes: tuple[Push, ...]
    trials: tuple[Trial, ...]


def answer_directions(lm: LanguageModel, prompts: Sequence[Chat], layers: Sequence[int]) -> torch.Tensor:
    """Mean activation of short refusals less that of compliant openings, (layers, d_model), over the answers' tokens
    and the one before them.
    """
    some = [prompts[place * len(prompts) // ANSWERED_PROMPTS] for place in range(ANSWERED_PROMPTS)]
    sides = []
    for texts in (REFUSALS, OPENINGS):
        turns = (Message(role="assistant", content=texts[place % len(texts)]) for place in range(len(some)))
        answered = [(*chat, turn) for chat, turn in zip(some, turns, strict=True)]
        activations = record(lm, answered, layers=layers, position="answer")
        check_finite(activations)
        sides.append(activations.double().mean(0))
    return (sides[0] - sides[1]).float()


def choose_push(
    lm: LanguageModel,
    candidates: Mapping[str, tuple[Push, ...]],
    harmful: Sequence[Chat],
    ordinary: Sequence[Chat],
    progress: bool,
) -> ChosenPushes:
    """Try every candidate at every strength on harmful prompts, and take what refuses most and keeps answers whole.

    Raises SteeringError where every push breaks the answers.
    """
    trials = []
    bare = next_token_log_probabilities(lm, ordinary)
    settings = [{"push": strength} for strength in STRENGTHS]
    for name, pushes in Progress(candidates.items(), desc="trying pushes", unit="push", disable=not progress):
        tried = {"push": Slider(pushes)}
        answers = sweep(lm.without_thought(), tried, harmful, settings, max_new_tokens=ANSWER_TOKENS, progress=False)
        for strength, texts in zip(STRENGTHS, zip(*answers, strict=True), strict=True):
            figures = {
                "refused": sum(map(refuses, texts)) / len(texts),
                "degenerate": sum(map(is_degenerate, texts)) / len(texts),
            }
            kl = _kl(lm, pushes, strength, ordinary, bare)
            trials.append(Trial(push=name, strength=strength, kl=kl, chosen=False, **figures))
    whole = [trial for trial in trials if trial.degenerate <= MAX_DEGENERATE]
    if not whole:
        raise SteeringError(
            f"Every push tried breaks the answers of {lm.identity.name!r}; make a plain vector instead."
        )
    best = max(whole, key=lambda trial: (trial.refused, -trial.kl))
    trials = [trial.model_copy(update={"chosen": trial is best}) for trial in trials]
    taken = Slider(candidates[best.push]).scaled(best.strength)
    return ChosenPushes(taken.pushes, tuple(trials))


def _kl(
    lm: LanguageModel, pushes: tuple[Push, ...], strength: float, ordinary: Sequence[Chat], bare: torch.Tensor
) -> float:
    with attach({"push": Slider(pushes)}, lm) as dial:
        dial.set(push=strength)
        return kl_divergence(bare, next_token_log_probabilities(lm, ordinary)).mean().item()
