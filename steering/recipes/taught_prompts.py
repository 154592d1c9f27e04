"""The prompts that balanced sliders are taught by, the built-in ones and the user's, and what a model makes of them.

Each is read once: the states at its template's tokens, and how far the first token of an answer leans to refusing, come
from the same forward pass, unless the model thinks before it answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steering.activations.recording import check_finite, record_positions
from steering.data.chats import Chat, ChatLike, Message, as_chat
from steering.data.contrast import ContrastSet
from steering.errors import SteeringError
from steering.models.language_model import LanguageModel
from steering.progress import Progress
from steering.recipes.prompt_probe import probed_tokens
from steering.scoring.next_token import refusal_log_odds, refusal_score, refusal_tokens
from steering.vectors.provenance import Source

SHORT_SET = "short-plain"
INTENT_SETS = ("safety", "look-alikes", SHORT_SET)
"""Pairs of harmful and harmless prompts."""
SHORT_WEIGHT = 0.5
"""What a short line counts against another prompt: at a whole, long harmful prompts are seen less."""
LOOK_ALIKE_SET = "over-refusal"
"""Look-alikes whose prompts are further harmless ones."""
END_MARKS = " .?!"
"""Taken off both sides of every other pair, but for short lines, of which a third has none: nearly all other built-in
prompts end with a mark, and a probe taught by them alone can take a missing one for a harmful wish."""
LEAST_OWN = 10
"""Prompts of a kind that the user has to give, if any: fewer say nothing about a threshold."""
Flags: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TaughtPrompts:
    """Prompts with their labels, in the order of the sets; the user's own come last."""

    chats: tuple[Chat, ...]
    harmful: Flags
    pairs: tuple[int, ...]
    """Number of the pair that a prompt belongs to."""
    own: Flags
    """Which are the user's."""
    weights: NDArray[np.float64]
    """What each counts in the teaching of a probe."""
    sources: tuple[Source, ...]

    @staticmethod
    def of(harmful: Sequence[ChatLike] = (), harmless: Sequence[ChatLike] = (), quick: bool = False) -> "TaughtPrompts":
        """The built-in sets, less the pairs that `ContrastSet.split` holds out, and the user's prompts.

        `quick` takes every other pair of the built-in ones. Raises SteeringError for prompts of the user's that teach
        nothing.
        """
        own = own_prompts(harmful, harmless)
        rows: list[tuple[Chat, bool, int]] = []
        sources: list[Source] = []
        weights: list[float] = []
        for name in (*INTENT_SETS, LOOK_ALIKE_SET):
            whole = ContrastSet.builtin(name)
            used = whole.split()[0]
            used = used.spread(len(used) // 2) if quick else used
            method, position = "prompt probe and refused - complied", "template tokens after the user's text"
            sources.append(Source.of(whole, used, method, position))
            for pair in used:
                number = rows[-1][2] + 1 if rows else 0
                is_answered = pair.positive[-1].role == "assistant"
                sides = (
                    [(pair.positive[:-1], False)] if is_answered else [(pair.positive, True), (pair.negative, False)]
                )
                bare = number % 2 and name != SHORT_SET
                rows += [(without_end_mark(chat) if bare else chat, wish, number) for chat, wish in sides]
                weights += [SHORT_WEIGHT if name == SHORT_SET else 1.0] * len(sides)
        first = rows[-1][2] + 1
        rows += [(chat, wish, first + number) for number, (chat, wish) in enumerate(own)]
        chats, wishes, pairs = zip(*rows, strict=True)
        is_own = np.arange(len(rows)) >= len(rows) - len(own)
        weighed = np.array(weights + [1.0] * len(own))
        return TaughtPrompts(chats, np.array(wishes), pairs, is_own, weighed, tuple(sources))


@dataclass(frozen=True, eq=False)
class PromptStates:
    """What a model makes of the prompts."""

    probed: Float[Tensor, "tokens prompts layers d_model"]
    """At the tokens that a probe reads, of which the last is the prompt's."""
    refusal: Float[Tensor, " prompts"]
    """Log odds, in nats, that the first token begins a refusal."""

    @property
    def last(self) -> Float[Tensor, "prompts layers d_model"]:
        """At the last prompt token."""
        return self.probed[-1]


def read_states(lm: LanguageModel, chats: Sequence[Chat], layers: Sequence[int], progress: bool) -> PromptStates:
    """Read the prompts at these layers, in one pass. Raises SteeringError where activations overflow."""
    refusing, refusal = refusal_tokens(lm), torch.zeros(len(chats))

    def lean(places: Sequence[int], logits: Tensor) -> None:
        refusal[list(places)] = refusal_log_odds(logits.float().log_softmax(-1).cpu(), refusing)

    positions = [f"prompt_end:{token}" for token in probed_tokens(lm)]
    next_token = lean if lm.answers_at_once else None
    with Progress(total=len(chats), desc="reading prompts", unit="prompt", disable=not progress) as bar:
        read = record_positions(lm, chats, positions, layers=layers, progress=bar.update, next_token=next_token)
    check_finite(read)
    return PromptStates(read, refusal if lm.answers_at_once else refusal_score(lm, chats))


def without_end_mark(chat: Chat) -> Chat:
    """The chat without the mark that its last turn ends with."""
    return (*chat[:-1], Message(role=chat[-1].role, content=chat[-1].content.rstrip(END_MARKS)))


def own_prompts(harmful: Sequence[ChatLike], harmless: Sequence[ChatLike]) -> list[tuple[Chat, bool]]:
    """The user's prompts, each once, and whether they are harmful.

    Args:
        harmful: prompts that safety is to act on.
        harmless: prompts that it is to leave alone.

    Raises:
        SteeringError: for prompts on one side only, too few of them, or one that stands on both sides.
    """
    own = list(dict.fromkeys([(as_chat(one), True) for one in harmful] + [(as_chat(one), False) for one in harmless]))
    sides = {kind: {chat for chat, wish in own if wish == (kind == "harmful")} for kind in ("harmful", "harmless")}
    if not own:
        return own
    for kind, chats in sides.items():
        if len(chats) < LEAST_OWN:
            raise SteeringError(
                f"Expected at least {LEAST_OWN} different {kind} prompts of your own, found {len(chats)}; "
                "give both kinds, 30 of each or more."
            )
    if both := sides["harmful"] & sides["harmless"]:
        text = sorted(chat[-1].content for chat in both)[0]
        raise SteeringError(
            f"Expected prompts that are harmful or harmless, found {len(both)} that stand on both sides, "
            f"such as {text!r}; take each out on one side."
        )
    for chat, _ in own:
        if chat[-1].role != "user" or not chat[-1].content.strip():
            raise SteeringError(f"Expected prompts that end with the user's words, found {chat[-1].content!r}.")
    return own
