"""Balanced sliders: safety acts on prompts that read as harmful, helpfulness on those that don't.

A direction of refusal added to every prompt is one knob, whatever it is made orthogonal to. Here the prompt decides: a
probe reads, about half-way up, whether the wish is harmful. Where it is, safety pushes the answer towards refusing;
where it is not, helpfulness takes away what leans to refusing before the answer begins and, as it unfolds, adds a push
towards engaged answers. Between the probe's two thresholds neither turns a refusal. So the sliders hardly meet, and
both at 1 keep what each does alone. What was tried and measured: docs/experiments.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from steering.data.chats import Chat, ChatLike
from steering.data.contrast import ContrastSet
from steering.errors import SteeringError
from steering.extraction import extract
from steering.models.language_model import LanguageModel
from steering.recipes.harm_gate import HarmGate, fit_harm_gate, reading_layers
from steering.recipes.measured_dose import answering_dose, refusing_dose
from steering.recipes.push_trials import TRIED_PROMPTS, answer_directions, choose_push
from steering.recipes.taught_prompts import Flags, PromptStates, TaughtPrompts, read_states
from steering.vectors.provenance import Origin
from steering.vectors.push import Push
from steering.vectors.slider import Slider
from steering.vectors.steering_vector import SteeringVector

PUSH_END_DEPTH = 0.71
"""Where the push along the model's own refusals, and that towards engaged answers, end."""
LOWERING_END_DEPTH = 0.91
"""Where the lowering of what leans to refusing ends: later blocks would write it anew."""
ANSWER_PUSH_DEPTH = 0.1
"""Share of the blocks that the push along short refusals takes."""
ANSWER_PUSH_TOKENS = "answer:16"
"""It moves an answer's first tokens: on all of them a small model would say its refusal over and over."""
EXTREME_SHARE = 1 / 3
"""Share of the harmful prompts at each end of the refusal score: they count as refused, and as complied with."""
DOSE_PROMPTS = 40
ORDINARY_PROMPTS = 16
ENGAGED_PAIRS = 16
ENGAGED_STRENGTH = 0.25
"""Multiple of the difference of engaged and evasive answers, on the tokens that the model writes."""


@dataclass(frozen=True, eq=False)
class _Read:
    """The prompts, what the model makes of them, and the gate that came of it."""

    prompts: TaughtPrompts
    states: PromptStates
    gate: HarmGate
    layers: tuple[int, ...]
    """From the gate's on, all that are moved."""
    last: Tensor
    """(prompts, layers, d_model) at the last prompt token."""
    quick: bool
    """Whether pushes and doses are tried on half of the prompts."""

    @property
    def harm(self) -> np.ndarray:
        """Held-out log odds of harm."""
        return self.gate.probe.held_out

    def places(self, wanted: Flags) -> Tensor:
        """Places of some prompts, those least likely to be refused first."""
        order = self.states.refusal.argsort()
        return order[torch.from_numpy(wanted)[order]]

    def spread(self, wanted: Flags, count: int, fallback: Flags) -> list[Chat]:
        """So many of these prompts, over the whole of their refusal scores; of the others if there are none."""
        places = self.places(wanted if wanted.any() else fallback)
        count = count // 2 if self.quick else count
        chosen = torch.linspace(0, len(places) - 1, min(count, len(places))).round().long()
        return [self.prompts.chats[place] for place in places[chosen]]


def balanced(
    lm: LanguageModel,
    *,
    harmful: Sequence[ChatLike] = (),
    harmless: Sequence[ChatLike] = (),
    false_alarms: float | None = None,
    missed: float | None = None,
    quick: bool = False,
    progress: bool = True,
) -> dict[str, Slider]:
    """Safety and helpfulness sliders that are as independent as we know how, from built-in prompts and your own.

    A minute or several on two cores for a model of half a billion parameters. The pairs that `ContrastSet.split` holds
    out teach nothing here, so they can be measured on.

    Args:
        lm: the model.
        harmful: prompts of yours that safety is to act on, 10 at least and better 30; they teach the gate, and the
            thresholds are set on the part that the probe has not seen.
        harmless: prompts of yours that it is to leave alone, as many.
        false_alarms: share of harmless prompts on which safety may act, 0 to 1; a tenth unless given.
        missed: share of harmful prompts on which helpfulness may act, 0 to 1; unless given, it acts on seven in ten of
            the harmless ones.
        quick: read every other built-in pair only, and try pushes and doses on half of the prompts.
        progress: show bars.

    Returns:
        Sliders named `safety` and `helpfulness`.

    Raises:
        SteeringError: for prompts of yours that teach nothing, shares that aren't, and where activations overflow in
            the model's dtype.
    """
    for name, share in (("false_alarms", false_alarms), ("missed", missed)):
        if share is not None and not 0 <= share < 1:
            raise SteeringError(f"Expected {name} as a share from 0 to below 1, found {share!r}.")
    prompts = TaughtPrompts.of(harmful, harmless, quick)
    read = _read(lm, prompts, false_alarms, missed, quick, progress)
    refusal = _refusal_vector(lm, read)
    safety = _safety(lm, read, refusal, progress)
    return {"safety": safety, "helpfulness": _helpfulness(lm, read, refusal, progress)}


def _read(
    lm: LanguageModel,
    prompts: TaughtPrompts,
    false_alarms: float | None,
    missed: float | None,
    quick: bool,
    progress: bool,
) -> _Read:
    first = reading_layers(lm)[0]
    layers = list(range(first, max(reading_layers(lm)[-1] + 1, round(LOWERING_END_DEPTH * lm.n_layers))))
    states = read_states(lm, prompts.chats, layers, progress)
    gate = fit_harm_gate(lm, prompts, states, layers, false_alarms, missed)
    skipped = layers.index(gate.layer)
    return _Read(prompts, states, gate, tuple(layers[skipped:]), states.last[:, skipped:], quick)


def _refusal_vector(lm: LanguageModel, read: _Read) -> SteeringVector:
    """What the model's refused harmful prompts have beyond those that it answers, at their last token."""
    harmful = read.places(read.prompts.harmful)
    count = max(1, round(EXTREME_SHARE * len(harmful)))
    complied, refused = (read.last[harmful[some]].double().mean(0) for some in (slice(count), slice(-count, None)))
    origin = Origin(model=lm.identity, sources=read.prompts.sources, expression="safety", recipe="balanced")
    pushed = _first_layers(read.layers, round(PUSH_END_DEPTH * lm.n_layers) - read.layers[0])
    return SteeringVector((refused - complied).float(), read.layers, pushed, origin=origin)


def _safety(lm: LanguageModel, read: _Read, refusal: SteeringVector, progress: bool) -> Slider:
    """The push that turns most answered harmful prompts, behind the gate, with its dose."""
    harmful = [chat for chat, wish in zip(read.prompts.chats, read.prompts.harmful, strict=True) if wish]
    span = _first_layers(read.layers, round(ANSWER_PUSH_DEPTH * lm.n_layers))
    answers = SteeringVector(answer_directions(lm, harmful, span), span, span, origin=refusal.origin)
    own, short = Push(refusal, tokens="answer"), Push(answers, tokens=ANSWER_PUSH_TOKENS)
    candidates = {"refused - complied prompts": (own,), "refusals - openings": (short,)}
    seen = read.prompts.harmful & (read.harm > read.gate.safety_above)
    answered = seen & (read.states.refusal < 0).numpy()
    ordinary = [pair.positive[:-1] for pair in ContrastSet.builtin("helpfulness").split()[0].spread(ORDINARY_PROMPTS)]
    tried = read.spread(answered, TRIED_PROMPTS, read.prompts.harmful)
    chosen = choose_push(lm, candidates, tried, ordinary, progress)
    dose = refusing_dose(lm, Slider(chosen.pushes), read.spread(answered, DOSE_PROMPTS, read.prompts.harmful))
    pushes = tuple(replace(push, gate=read.gate.harmful) for push in chosen.pushes)
    return Slider(pushes, (0.0, 1.0), dose=dose, trials=chosen.trials, recognition=read.gate.recognition)


def _helpfulness(lm: LanguageModel, read: _Read, refusal: SteeringVector, progress: bool) -> Slider:
    """Less refusal before the answer begins, more engagement as it unfolds, each behind its gate, with the dose."""
    taught, _ = ContrastSet.builtin("helpfulness").split()
    taught = taught.spread(len(taught) // 2) if read.quick else taught
    answers = extract(lm, taught, layers=read.layers, progress=progress)
    assert answers.origin is not None
    harmless = read.places(~read.prompts.harmful)
    answered = read.last[harmless[: max(1, round(EXTREME_SHARE * len(harmless)))]].double().mean(0)
    origin = answers.origin.model_copy(update={"sources": (*read.prompts.sources, *answers.origin.sources)})
    lowering = Push(
        replace(refusal, recommended_layers=read.layers, origin=origin.model_copy(update={"recipe": "balanced"})),
        intervention="lower_projection",
        tensors={"ceiling": answered.float()},
        tokens="last_prompt_token",
    )
    pushed = refusal.recommended_layers
    engaging = Push(replace(answers, profile=None), pushed, ENGAGED_STRENGTH, tokens="generated")
    acts = ~read.prompts.harmful & (read.harm < read.gate.helpfulness_below)
    refused = acts & (read.states.refusal > 0).numpy()
    look_alikes = read.spread(refused, DOSE_PROMPTS, acts)
    dose = answering_dose(lm, Slider((lowering, engaging)), look_alikes, taught.spread(ENGAGED_PAIRS))
    gated = replace(lowering, gate=read.gate.harmless), replace(engaging, gate=read.gate.not_harmful)
    return Slider(gated, (-1.0, 1.0), dose=dose, recognition=read.gate.recognition)


def _first_layers(layers: tuple[int, ...], count: int) -> tuple[int, ...]:
    return layers[: max(1, count)]
