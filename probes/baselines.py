"""What steering has to beat: asking in a system prompt, picking the best of several answers, a random direction.

The first two are the training-free methods of Tuan et al. 2024 (arXiv 2404.01295). Reranking looks strong under the
scorer that it optimizes and weaker under others: never report it by the scorer that picked.
"""

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from probes.answers import Decoding
from probes.linear import LinearProbe
from steering import LanguageModel, SteeringVector, record
from steering.data.chats import ChatLike, Message, as_chat, without_answer
from steering.directions.random import random
from steering.errors import SteeringError, quoted
from steering.models.reasoning import split_reasoning
from steering.vectors.steering_vector import combined_origin

Scorer: TypeAlias = Callable[[ChatLike, str], float]
"""(prompt, answer) -> how much of an attribute the answer has, higher is more; finite, any unit."""


def level_prompt(safety: float, helpfulness: float) -> str:
    """A system prompt that asks for a level of both attributes, as scores out of 10.

    Args:
        safety: level of safety, 0 to 1.
        helpfulness: level of helpfulness, 0 to 1.

    Returns:
        The prompt's text.

    Raises:
        SteeringError: for a level outside.

    Example:
        >>> from probes import level_prompt
        >>> "a safety score of 10 and a helpfulness score of 5" in level_prompt(1.0, 0.5)
        True
    """
    for name, level in (("safety", safety), ("helpfulness", helpfulness)):
        if not 0 <= level <= 1:
            raise SteeringError(f"Expected a level of {name} from 0 to 1, found {level!r}; 1 asks for 10 of 10.")
    return (
        "Every answer of yours is scored twice, from 0 to 10. Safety: 0 for an answer that gives whatever is asked for "
        "and harms people by it, 10 for one that can harm nobody. Helpfulness: 0 for an answer that evades the "
        "request, 10 for one that meets it fully. "
        f"Write answers with a safety score of {10 * safety:.3g} and a helpfulness score of {10 * helpfulness:.3g}, "
        "and don't mention the scores."
    )


def at_levels(lm: LanguageModel, safety: float, helpfulness: float) -> LanguageModel:
    """The same model with `level_prompt` as its system prompt, in place of its own or the chat template's default.

    Chats that have a system turn keep it. Weights and hooks are shared with `lm`.

    Raises:
        SteeringError: for a chat template that can't hold a system turn, or drops it.
    """
    prompted = replace(lm, system_prompt=level_prompt(safety, helpfulness))
    if prompted.tokenize("Hi").ids == replace(lm, system_prompt="Be brief.").tokenize("Hi").ids:
        raise SteeringError(
            f"The chat template of {lm.identity.name!r} drops system prompts; put level_prompt() into the user's turn."
        )
    return prompted


@dataclass(frozen=True)
class Candidates:
    """Sampled answers and what scorers say of them: sampled once, reranked for any weights."""

    answers: tuple[tuple[str, ...], ...]
    """`[prompt][candidate]`; those without an answer are left out."""
    scores: Mapping[str, tuple[tuple[float, ...], ...]]
    """`[scorer][prompt][candidate]`."""

    def rerank(self, weights: Mapping[str, float]) -> list[str]:
        """For every prompt the answer of the highest `Σ weight · score`, the first where several have it.

        Args:
            weights: by scorer, in the scores' own units; a scorer that isn't named counts for nothing.

        Raises:
            SteeringError: for a weight of no scorer, or one that isn't finite.
        """
        if unknown := [name for name in weights if name not in self.scores]:
            raise SteeringError(f"There is no scorer {quoted(unknown)} to weigh; choose from {quoted(self.scores)}.")
        if not all(math.isfinite(weight) for weight in weights.values()):
            raise SteeringError(f"Expected finite weights, found {dict(weights)}; 0 leaves a scorer out.")
        best = []
        for place, answers in enumerate(self.answers):
            scores = [(weight, self.scores[name][place]) for name, weight in weights.items()]
            totals = [sum(weight * some[row] for weight, some in scores) for row in range(len(answers))]
            best.append(answers[totals.index(max(totals))] if totals else "")
        return best


def candidates(
    lm: LanguageModel,
    prompts: Sequence[ChatLike],
    scorers: Mapping[str, Scorer],
    n: int,
    decoding: Decoding,
    seed: int = 0,
) -> Candidates:
    """Sample n answers a prompt, in one batch, and score them.

    A dial that is attached to `lm`, at one value for all rows, steers the samples, and the activations that a
    `probe_scorer` of `lm` reads.

    Args:
        lm: the model.
        prompts: what is answered.
        scorers: by the names that weights are given to; they get answers without the thoughts before them.
        n: samples of each prompt.
        decoding: how they are written; its own seeds play no part.
        seed: decides a prompt's samples together with the prompt, whatever the other prompts.

    Returns:
        The samples with their scores, to be reranked.

    Raises:
        SteeringError: for n below 1, or a score that isn't finite.
    """
    if n < 1:
        raise SteeringError(f"Expected at least one sample a prompt, found n = {n}; ask for more.")
    answers = []
    for chat in map(as_chat, prompts):
        with torch.random.fork_rng():  # torch's own generator is left as it was
            torch.manual_seed(zlib.crc32(json.dumps([seed, *(message.model_dump() for message in chat)]).encode()))
            sampled = lm.generate([chat], decoding.max_new_tokens, num_return_sequences=n, **decoding.sampling)
        answers.append(tuple(text for text in sampled if split_reasoning(text).answer))
    scores = {}
    for name, scorer in scorers.items():
        scores[name] = tuple(
            tuple(float(scorer(prompt, split_reasoning(text).answer)) for text in some)
            for prompt, some in zip(prompts, answers, strict=True)
        )
        if bad := [score for some in scores[name] for score in some if not math.isfinite(score)]:
            raise SteeringError(f"Expected finite scores, found {bad[0]!r} from {name!r}; mend the scorer.")
    return Candidates(tuple(answers), scores)


def probe_scorer(lm: LanguageModel, probe: LinearProbe) -> Scorer:
    """Score answers by a probe of answers' mean activations, at its best layer.

    Args:
        lm: the model that the probe was fitted on.
        probe: fitted with `position="generated"`.

    Returns:
        A scorer that gives the log odds, in nats, of the probe's positive side.

    Raises:
        SteeringError: unless the probe was fitted to answers' mean activations of a model as deep and as wide.
    """
    positions = {source.position for source in probe.origin.sources}
    if positions != {"generated"}:
        raise SteeringError(
            f"Expected a probe of answers' mean activations, found one read at {quoted(sorted(positions))}; "
            "fit it with position='generated'."
        )
    if max(probe.layers) >= lm.n_layers or probe.weights.shape[1] != lm.d_model:
        raise SteeringError(
            f"The probe reads layer {max(probe.layers)} of width {probe.weights.shape[1]}, {lm.identity.name!r} has "
            f"{lm.n_layers} layers of width {lm.d_model}; fit one on this model."
        )
    row = probe.layers.index(probe.best_layer)
    weights, bias = probe.weights[row], probe.bias[row]

    def log_odds(prompt: ChatLike, answer: str) -> float:
        chat = (*without_answer(as_chat(prompt)), Message(role="assistant", content=answer))
        state = record(lm, [chat], layers=[probe.best_layer], position="generated")[0, 0]
        return float(state @ weights + bias)

    return log_odds


def random_like(vector: SteeringVector) -> SteeringVector:
    """A random direction with the norm of the vector's own at every layer.

    The control for "any push of this size does that". Drawn as `extract(method="random")` does: the seed is made from
    the norms, so that each vector has its own.

    Args:
        vector: what the norms are taken from.

    Returns:
        The random vector, at the same layers.

    Example:
        >>> from probes import random_like
        >>> torch.allclose(random_like(vector).directions.norm(dim=1), vector.directions.norm(dim=1))
        True
    """
    here = vector.directions.unsqueeze(0)
    return replace(
        vector,
        directions=random([(here, torch.zeros_like(here))]).float(),
        origin=combined_origin("random({})", vector),
        profile=None,
    )
