"""calibrate(): which layers a slider moves, how far 1 is, and in which range it can be relied on.

A slider value is moved out from 0 until its own score stops rising with it, or until the model's next token on ordinary
prompts has changed by a budget of KL divergence. That edge becomes slider value 1. Spans of layers are compared at
their edges, so at like damage, by how far the own score has risen there.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise, product

import numpy as np
import torch
from scipy.optimize import bisect
from tqdm.auto import tqdm

from probes.grid_scores import BUILTIN_OWN, Score, own_score
from probes.own_scores import made_from
from steering import ContrastSet, LanguageModel, Slider, Sliders, SteeringVector
from steering.data.chats import ChatLike
from steering.errors import SteeringError, quoted
from steering.models.identity import fingerprint
from steering.scoring.next_token import kl_divergence, next_token_log_probabilities
from steering.vectors.provenance import Calibration, Span
from steering.vectors.slider import as_slider

KL_BUDGET = 0.1
"""Nats of KL(bare ‖ steered) of the next token, mean over ordinary prompts."""
LARGEST = 16.0
"""Multiple of the directions beyond which no edge is looked for: gated vectors may never spend their budget."""
SMALLEST = LARGEST / 256
"""Where the search for the edge begins, doubling."""
STEPS = 6
"""Values between 0 and the KL edge at which the own score is asked whether it still rises."""
TOLERANCE = 0.02
"""Relative, for the edge."""
DEPTHS = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Middles of the spans that are tried, as shares of the model's depth: where steering works in the literature."""
WIDTHS = (1, 3)


def tuning_data(axis: str, count: int = 24) -> tuple[Score, list[ChatLike]]:
    """The score and the ordinary prompts that an axis is calibrated on: pairs that no report uses.

    They are of the part of the built-in sets that vectors are made from; what `evaluate` reports on is of the other.

    Args:
        axis: `safety` or `helpfulness`.
        count: number of pairs at most.

    Returns:
        The score that the slider is to raise, and the ordinary prompts.

    Raises:
        SteeringError: for another axis.
    """
    if axis not in BUILTIN_OWN:
        raise SteeringError(
            f"There is no built-in tuning data for {axis!r}, only for {quoted(BUILTIN_OWN)}; pass your own."
        )
    pairs, _ = ContrastSet.builtin(axis).split()
    return own_score(axis, pairs.spread(count), axis), _ordinary(count)


def own_tuning_data(
    lm: LanguageModel, slider: Slider | SteeringVector, pairs: ContrastSet | None = None, count: int = 24
) -> tuple[Score, list[ChatLike]]:
    """The same for a slider by the contrast set that it was made from: the pairs that `extract` did not hold out.

    Args:
        lm: the model, without attached sliders.
        slider: a slider or vector.
        pairs: the contrast set that it was extracted from; unless given, the built-in one that its record names.
        count: number of pairs at most.

    Returns:
        The score that the slider is to raise, and the ordinary prompts.

    Raises:
        SteeringError: where the set isn't that of the slider's record, and for fewer than 4 pairs.

    Example:
        >>> from probes import own_tuning_data
        >>> engagement = extract(lm, ContrastSet.builtin("helpfulness")[:20], progress=False)
        >>> own, ordinary = own_tuning_data(lm, engagement, ContrastSet.builtin("helpfulness")[:20])
        >>> len(own.items)
        16
    """
    slider = as_slider(slider)
    found = made_from(slider, slider.title, pairs)
    return found.score(lm, found.used.spread(count), slider.title), _ordinary(count)


def _ordinary(count: int) -> list[ChatLike]:
    pairs, _ = ContrastSet.builtin("helpfulness").split()
    return [pair.positive[:-1] for pair in pairs.spread(count)]


def calibrate(
    lm: LanguageModel,
    slider: Slider | SteeringVector,
    own: Score,
    ordinary: Sequence[ChatLike],
    *,
    kl_budget: float = KL_BUDGET,
    spans: Sequence[Sequence[int]] | None = None,
    progress: bool = True,
) -> Slider:
    """The slider with the layers, strength and range that were found on tuning data, and a record of how.

    Value 1 is the edge of the range in which the mean of the own score rises with every step and the KL on ordinary
    prompts stays within the budget. Downwards the range ends at -1, or at that side's own edge if nearer.

    Args:
        lm: the model.
        slider: a slider, or a vector for its plain slider.
        own: the score that it is to raise, on prompts that nothing is reported on: see `tuning_data`.
        ordinary: prompts on which the model should stay as it is.
        kl_budget: nats of KL that value 1 may cost on ordinary prompts.
        spans: layers to try moving together; the slider's own, and spans over the middle of the model, unless given.
            A slider of several pushes keeps its layers.
        progress: show a bar.

    Returns:
        The calibrated slider.

    Raises:
        SteeringError: when the own score rises in no span, and for a KL budget that isn't above 0.

    Example:
        >>> from probes import Score, calibrate
        >>> from steering import record
        >>> own = Score("readout", ["Hi"], lambda lm, prompts, dial: record(lm, prompts, layers=[2]) @ vector[2])
        >>> calibrate(lm, vector, own, ["Why?"], spans=[[2]], progress=False).pushes[0].layers
        (2,)
    """
    slider = as_slider(slider)
    if kl_budget <= 0:
        raise SteeringError(f"Expected a KL budget above 0 nats, found {kl_budget!r}.")
    spans = default_spans(slider) if spans is None else spans
    straight = replace(slider, dose=None)  # value 1 becomes the edge; a curve through other values no longer holds
    tried = [straight if len(slider.pushes) > 1 else straight.at_layers(span) for span in spans]
    bare = next_token_log_probabilities(lm, ordinary)
    found = [
        _measure(lm, one, own, ordinary, bare, kl_budget)
        for one in tqdm(tried, desc="calibrating", unit="span", disable=not progress)
    ]
    best, chosen = max(zip(found, tried, strict=True), key=lambda pair: pair[0].gain)
    if best.gain <= 0:
        raise SteeringError(
            f"The slider of {slider.title!r} raises {own.name!r} in none of {len(found)} spans of layers; "
            "use another vector, or other prompts."
        )
    record = Calibration(
        score=own.name,
        data=fingerprint(f"{own.fingerprint} {len(ordinary)}".encode()),
        prompts=len(own.items),
        ordinary_prompts=len(ordinary),
        kl_budget=kl_budget,
        spans=tuple(found),
    )
    low = -min(1.0, best.lowest / best.strength)
    return replace(chosen.scaled(best.strength), range=(low, 1.0), calibration=record)


def default_spans(slider: Slider) -> list[tuple[int, ...]]:
    """The slider's own layers, and spans about the middle of the model as far as its vector has them."""
    push = slider.pushes[0]
    if len(slider.pushes) > 1 or push.gate is not None:
        return [push.layers]
    spans = [push.layers]
    for depth, width in product(DEPTHS, WIDTHS):
        first = round(depth * (max(push.vector.layers) + 1)) - width // 2
        spans.append(tuple(range(first, first + width)))
    return [span for span in dict.fromkeys(spans) if set(span) <= set(push.vector.layers)]


def _measure(
    lm: LanguageModel, slider: Slider, own: Score, ordinary: Sequence[ChatLike], bare: torch.Tensor, kl_budget: float
) -> Span:
    """How far the slider can go at its layers, and how far its own score has risen there."""
    layers = slider.pushes[0].layers
    with Sliders(slider=slider).attach(lm) as dial, torch.inference_mode():

        @cache
        def kl(value: float) -> float:
            dial.set(slider=value)
            return kl_divergence(bare, next_token_log_probabilities(lm, ordinary)).mean().item()

        @cache  # both edges begin at 0, and the gain is between values that they have seen
        def score(value: float) -> float:
            dial.set(slider=value)
            return own.measure(lm, own.items, dial).mean().item()

        upper, lower = (_edge(kl, score, kl_budget, sign) for sign in (1.0, -1.0))
        gain = score(upper) - score(0.0)
        return Span(layers=layers, strength=upper, lowest=lower, kl=kl(upper) if upper else 0.0, gain=gain)


def _edge(kl: Callable[[float], float], score: Callable[[float], float], budget: float, sign: float) -> float:
    """How far the slider can go to one side within the KL budget, the own score changing the right way all along."""
    edge = SMALLEST
    while edge < LARGEST and kl(sign * edge) <= budget:
        edge *= 2
    if edge < LARGEST or kl(sign * edge) > budget:
        edge = float(bisect(lambda size: kl(sign * size) - budget, 0.0, edge, rtol=TOLERANCE, xtol=TOLERANCE * edge))
    values = np.linspace(0.0, edge, STEPS + 1)
    before = score(0.0)
    for last, value in pairwise(values):
        after = score(sign * value)
        if sign * (after - before) <= 0:
            return float(last)
        before = after
    return edge
