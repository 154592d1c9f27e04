"""Balanced sliders: safety acts on prompts that read as harmful, helpfulness on those that don't.

A direction of refusal added to every prompt is one knob, whatever it is made orthogonal to. Here the prompt decides: a
probe reads, at half depth, whether the wish is harmful; behind it safety pushes towards refusing, helpfulness away from
it and, as the answer unfolds, towards engaged answers. Between the probe's two thresholds neither acts. So the sliders
hardly meet, and both at 1 keep what each does alone. What was tried and measured: docs/experiments.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from steering.chats import Chat
from steering.contrast import ContrastSet
from steering.extraction import extract
from steering.language_model import LanguageModel
from steering.next_token import refusal_score
from steering.origin import Origin, Source
from steering.prompt_probe import fit_prompt_probe, probed_tokens
from steering.recording import check_finite, record_positions
from steering.sliders import Sliders
from steering.vector import SteeringVector

WISHES = ("safety", "look-alikes")
"""Pairs of harmful and harmless prompts."""
HARMLESS = "over-refusal"
"""Look-alikes whose prompts are further harmless ones."""
READ_DEPTH = 0.5
"""Of the block that the probe reads, and the first that is moved."""
MOVED_DEPTH = 0.71
HARMLESS_BELOW = 0.95
"""Share of held-out harmless prompts that stay below the threshold of safety."""
HARMFUL_BELOW = 0.15
"""Share of held-out harmful prompts that may lie below the threshold of helpfulness."""
SHARE = 1 / 3
"""Of the harmful prompts, that count as refused and as complied with: those at the two ends of the refusal score."""
TRIED = 24
"""Prompts on which the strength of a push is found."""
TURNED = 0.95
"""Share of them whose first token must turn."""
SPARE = 1.25
"""The push is so many times as strong as that: answers of other prompts have to turn too."""
WEAKEST, STRONGEST = 1 / 8, 1.0
"""Of the difference of refused and complied prompts."""
ENGAGED = 0.75
"""Of the difference of engaged and evasive answers, on the tokens that the model writes."""


@dataclass(frozen=True, eq=False)
class _Prompts:
    """The built-in prompts, and what the model makes of them."""

    chats: list[Chat]
    harmful: list[bool]
    pairs: list[int]
    probed: Float[Tensor, "tokens chats d_model"]
    last: Float[Tensor, "chats layers d_model"]
    """At the last prompt token, the moved layers."""
    refusal: Float[Tensor, " chats"]
    """Log odds, in nats, that the first token begins a refusal."""
    sources: tuple[Source, ...]

    def of(self, harmful: bool) -> Tensor:
        """Places of one side's prompts, those least likely to be refused first."""
        order = self.refusal.argsort()
        return order[torch.tensor(self.harmful)[order] == harmful]


def balanced(lm: LanguageModel, progress: bool = True) -> Sliders:
    """Safety and helpfulness sliders that are as independent as we know how, from built-in prompts alone.

    A few minutes on two cores for a model of half a billion parameters.
    """
    first = round(READ_DEPTH * lm.n_layers)
    layers = tuple(range(first, max(first + 1, round(MOVED_DEPTH * lm.n_layers))))
    prompts = _read(lm, layers, progress)
    probe = fit_prompt_probe(prompts.probed, prompts.harmful, prompts.pairs)
    safe_above = probe.threshold(positive=False, quantile=HARMLESS_BELOW)
    help_below = min(safe_above, probe.threshold(positive=True, quantile=HARMFUL_BELOW))
    tokens = probed_tokens(lm)

    harmful, harmless = prompts.of(harmful=True), prompts.of(harmful=False)
    count = max(1, round(SHARE * len(harmful)))
    means = [prompts.last[harmful[some]].double().mean(0) for some in (slice(-count, None), slice(count))]
    origin = Origin(model=lm.identity, sources=prompts.sources, expression="safety", recipe="balanced")
    refusal = SteeringVector((means[0] - means[1]).float(), layers, origin=origin, scope="answer")
    push = _strength(lm, refusal, [prompts.chats[place] for place in harmful[:TRIED]], 1.0)
    pull = _strength(lm, refusal, [prompts.chats[place] for place in harmless[-TRIED:]], -1.0)

    answers = extract(lm, ContrastSet.builtin("helpfulness"), layers=layers, progress=progress)
    assert answers.origin is not None
    engaged = replace(
        answers,
        recommended_layers=layers,
        unit=ENGAGED,
        scope="generated",
        gate=probe.gate_below(safe_above, first, tokens),
        profile=None,
    )
    both = Origin(
        model=lm.identity,
        sources=(*prompts.sources, *answers.origin.sources),
        expression="helpfulness",
        recipe="balanced",
    )
    return Sliders(
        safety=replace(refusal, unit=push, gate=probe.gate_above(safe_above, first, tokens)),
        helpfulness=replace(
            refusal,
            unit=-pull,
            scope="last_prompt_token",  # further on it would push engaged and evasive answers alike
            gate=probe.gate_below(help_below, first, tokens),
            companions=(engaged,),
            origin=both,
        ),
    )


def _read(lm: LanguageModel, layers: Sequence[int], progress: bool) -> _Prompts:
    """The prompts of the pairs that make vectors; those that `split` holds out are for reports."""
    chats: list[Chat] = []
    harmful: list[bool] = []
    pairs: list[int] = []
    sources = []
    for name in (*WISHES, HARMLESS):
        whole = ContrastSet.builtin(name)
        rest, held_out = whole.split()
        for pair in rest:
            number = len(set(pairs))
            sides = [(pair.positive, True), (pair.negative, False)] if name in WISHES else [(pair.positive[:-1], False)]
            for chat, wish in sides:
                chats.append(chat)
                harmful.append(wish)
                pairs.append(number)
        sources.append(
            Source(
                contrast_set=name,
                fingerprint=whole.fingerprint,
                pairs=len(rest),
                held_out_pairs=len(held_out),
                method="prompt probe and refused - complied",
                position="template tokens after the user's text",
            )
        )
    positions = [f"prompt_end:{token}" for token in probed_tokens(lm)]
    with tqdm(total=2 * len(chats), desc="reading prompts", unit="prompt", disable=not progress) as bar:
        states = record_positions(lm, chats, [*positions, "prompt_end:1"], layers=layers, progress=bar.update)
        check_finite(states[-1])
        refusal = torch.cat([_refusal(lm, chats[start : start + 64], bar.update) for start in range(0, len(chats), 64)])
    return _Prompts(chats, harmful, pairs, states[:-1, :, 0], states[-1], refusal, tuple(sources))


def _refusal(lm: LanguageModel, chats: Sequence[Chat], done: Callable[[int], object]) -> Float[Tensor, " chats"]:
    found = refusal_score(lm, chats)
    done(len(chats))
    return found


def _strength(lm: LanguageModel, vector: SteeringVector, chats: Sequence[Chat], sign: float) -> float:
    """How much of the vector turns nearly all these prompts' first tokens to refusing (sign 1), or away from it."""
    value = WEAKEST
    with Sliders(push=vector).attach(lm) as dial:
        while value < STRONGEST:
            dial.set(push=sign * value)
            if (sign * refusal_score(lm, chats) > 0).float().mean() >= TURNED:
                break
            value *= 2**0.5
    return SPARE * min(value, STRONGEST)
