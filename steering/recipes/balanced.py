"""Balanced sliders: safety acts on prompts that read as harmful, helpfulness on those that don't.

A direction of refusal added to every prompt is one knob, whatever it is made orthogonal to. Here the prompt decides: a
probe reads, at half depth, whether the wish is harmful. Where it is, safety pushes the answer towards refusing; where
it is not, helpfulness takes away what leans to refusing before the answer begins and, as it unfolds, adds a push
towards engaged answers. Between the probe's two thresholds neither turns a refusal. So the sliders hardly meet, and
both at 1 keep what each does alone. What was tried and measured: docs/experiments.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from steering.activations.recording import check_finite, record_positions
from steering.data.chats import Chat, Message
from steering.data.contrast import ContrastSet
from steering.extraction import extract
from steering.hooks.dial import attach
from steering.models.language_model import LanguageModel
from steering.recipes.prompt_probe import fit_prompt_probe, probed_tokens
from steering.scoring.next_token import refusal_score
from steering.vectors.provenance import Origin, Source
from steering.vectors.slider import Push, Slider
from steering.vectors.steering_vector import SteeringVector

INTENT_SETS = ("safety", "look-alikes")
"""Pairs of harmful and harmless prompts."""
LOOK_ALIKE_SET = "over-refusal"
"""Look-alikes whose prompts are further harmless ones."""
READ_DEPTH = 0.5
"""Depth of the block that the probe reads, and of the first that is moved."""
PUSH_END_DEPTH = 0.71
"""Where the pushes end."""
LOWERING_END_DEPTH = 0.91
"""Where the lowering of what leans to refusing ends: later blocks would write it anew."""
END_MARKS = " .?!"
"""Taken off both sides of every other pair: nearly all built-in prompts end with a mark, and a probe taught by them
alone can take a missing one for a harmful wish."""
SAFETY_QUANTILE, HELPFULNESS_QUANTILE = 0.9, 0.7
"""Shares of harmless prompts that stay below the threshold of safety, and of helpfulness, in cross-validation."""
EXTREME_SHARE = 1 / 3
"""Share of the harmful prompts at each end of the refusal score: they count as refused, and as complied with."""
PROBED_PROMPTS = 24
"""Prompts on which the strength of the push is found."""
MIN_SUCCESS_RATE = 0.9
"""Share of them whose first token must turn."""
STRENGTH_MARGIN = 1.25
"""The push is so many times as strong as that: answers of other prompts have to turn too."""
STRENGTHS = tuple(2 ** (-halvings / 2) for halvings in (6, 5, 4, 3, 2))
"""Multiples of refused less complied prompts; beyond, a model that knows no refusals loses its language."""
ENGAGED_STRENGTH = 0.25
"""Multiple of the difference of engaged and evasive answers, on the tokens that the model writes."""


@dataclass(frozen=True, eq=False)
class _Prompts:
    """The built-in prompts, and what the model makes of them."""

    chats: list[Chat]
    harmful: list[bool]
    pairs: list[int]
    probed: Float[Tensor, "tokens chats d_model"]
    last: Float[Tensor, "chats layers d_model"]
    """At the last prompt token, all layers that are moved."""
    refusal: Float[Tensor, " chats"]
    """Log odds, in nats, that the first token begins a refusal."""
    sources: tuple[Source, ...]

    def of(self, harmful: bool) -> Tensor:
        """Places of one side's prompts, those least likely to be refused first."""
        order = self.refusal.argsort()
        return order[torch.tensor(self.harmful)[order] == harmful]


def balanced(lm: LanguageModel, progress: bool = True) -> dict[str, Slider]:
    """Safety and helpfulness sliders that are as independent as we know how, from built-in prompts alone.

    Some minutes on two cores for a model of half a billion parameters. No pair of the prompt sets is held out: measure
    on other prompts than the built-in ones.

    Args:
        lm: the model.
        progress: show bars.

    Returns:
        Sliders named `safety` and `helpfulness`.

    Raises:
        SteeringError: where activations overflow in the model's dtype.
    """
    depths = (READ_DEPTH, PUSH_END_DEPTH, LOWERING_END_DEPTH)
    first, push_end, lowering_end = (round(depth * lm.n_layers) for depth in depths)
    layers = tuple(range(first, max(first + 1, lowering_end)))
    pushed = tuple(range(first, max(first + 1, push_end)))
    prompts = _read(lm, layers, progress)
    probe = fit_prompt_probe(prompts.probed, prompts.harmful, prompts.pairs)
    safe_above, help_below = (probe.threshold(False, share) for share in (SAFETY_QUANTILE, HELPFULNESS_QUANTILE))
    tokens = probed_tokens(lm)

    harmful, harmless = prompts.of(harmful=True), prompts.of(harmful=False)
    count = max(1, round(EXTREME_SHARE * len(harmful)))
    complied, refused = (prompts.last[harmful[some]].double().mean(0) for some in (slice(count), slice(-count, None)))
    answered = prompts.last[harmless[: max(1, round(EXTREME_SHARE * len(harmless)))]].double().mean(0)
    origin = Origin(model=lm.identity, sources=prompts.sources, expression="safety", recipe="balanced")
    refusal = SteeringVector((refused - complied).float(), layers, pushed, origin=origin)
    turned = harmful[prompts.refusal[harmful] < 0] if (prompts.refusal[harmful] < 0).any() else harmful
    push = Push(refusal, tokens="answer")
    spread = torch.linspace(0, len(turned) - 1, min(PROBED_PROMPTS, len(turned))).round().long()
    strength = _strength(lm, push, [prompts.chats[place] for place in turned[spread]])

    answers = extract(lm, ContrastSet.builtin("helpfulness"), layers=layers, progress=progress)
    assert answers.origin is not None
    both = {"expression": "helpfulness", "sources": (*prompts.sources, *answers.origin.sources)}
    lowering = Push(
        replace(refusal, recommended_layers=layers, origin=origin.model_copy(update=both)),
        intervention="lower_projection",
        tensors={"ceiling": answered.float()},
        tokens="last_prompt_token",
        gate=probe.gate_below(help_below, first, tokens),
    )
    no_refusal = probe.gate_below(safe_above, first, tokens)
    engaging = Push(replace(answers, profile=None), pushed, ENGAGED_STRENGTH, tokens="generated", gate=no_refusal)
    refusing = replace(push, strength=strength, gate=probe.gate_above(safe_above, first, tokens))
    return {"safety": Slider((refusing,), (0.0, 1.0)), "helpfulness": Slider((lowering, engaging), (0.0, 1.0))}


def _read(lm: LanguageModel, layers: Sequence[int], progress: bool) -> _Prompts:
    """The prompts of all pairs: cross-validation sets the thresholds, and a fifth fewer pairs make a worse probe."""
    sets = [ContrastSet.builtin(name) for name in (*INTENT_SETS, LOOK_ALIKE_SET)]
    chats: list[Chat] = []
    harmful: list[bool] = []
    pairs: list[int] = []
    for number, pair in enumerate(pair for whole in sets for pair in whole):
        is_answered = pair.positive[-1].role == "assistant"
        sides = [(pair.positive[:-1], False)] if is_answered else [(pair.positive, True), (pair.negative, False)]
        for chat, wish in sides:
            chats.append(without_end_mark(chat) if number % 2 else chat)
            harmful.append(wish)
            pairs.append(number)
    method, position = "prompt probe and refused - complied", "template tokens after the user's text"
    sources = tuple(Source.of(whole, whole, method, position) for whole in sets)
    positions = [f"prompt_end:{token}" for token in probed_tokens(lm)]
    with tqdm(total=2 * len(chats), desc="reading prompts", unit="prompt", disable=not progress) as bar:
        read = record_positions(lm, chats, [*positions, "prompt_end:1"], layers=layers, progress=bar.update)
        check_finite(read[-1])
        refusal = []
        for start in range(0, len(chats), 64):
            refusal.append(refusal_score(lm, chats[start : start + 64]))
            bar.update(len(refusal[-1]))
    return _Prompts(chats, harmful, pairs, read[:-1, :, 0], read[-1], torch.cat(refusal), sources)


def without_end_mark(chat: Chat) -> Chat:
    """The chat without the mark that its last turn ends with."""
    return (*chat[:-1], Message(role=chat[-1].role, content=chat[-1].content.rstrip(END_MARKS)))


def _strength(lm: LanguageModel, push: Push, chats: Sequence[Chat]) -> float:
    """How much of the push turns nearly all these prompts' first tokens to refusing, and a little more."""
    with attach({"push": Slider((push,))}, lm) as dial:
        for strength in STRENGTHS:
            dial.set(push=strength)
            if (refusal_score(lm, chats) > 0).float().mean() >= MIN_SUCCESS_RATE:
                return STRENGTH_MARGIN * strength
    return STRENGTHS[-1]
