"""calibrate(): which layers a slider moves, how far 1 is, and in which range it can be relied on.

A slider value is moved out from 0 until its own score stops rising with it, or until the model's next token on ordinary
prompts has changed by a budget of KL divergence. That edge becomes slider value 1. Spans of layers are compared at
their edges, so at like damage, by how far the own score has risen there. Downwards only the span that is taken is
tried.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise, product
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from pydantic_core import to_jsonable_python
from scipy.optimize import brentq
from torch import Tensor
from tqdm.auto import tqdm

from probes.grid_scores import BUILTIN_OWN, Score, own_score
from probes.methods import SliderMethod
from probes.own_scores import score_of_set
from probes.result_cache import ResultCache, model_key
from steering import ContrastSet, LanguageModel, Slider, Sliders, SteeringVector
from steering.data.chats import ChatLike
from steering.errors import SteeringError, quoted
from steering.models.identity import fingerprint
from steering.progress import announce
from steering.scoring.next_token import kl_divergence, next_token_log_probabilities
from steering.scoring.own_pairs import FEWEST, made_from
from steering.vectors.provenance import Calibration, Span
from steering.vectors.slider import as_slider

Reading: TypeAlias = Callable[[float], float]
"""What is read at a slider value."""
KL_BUDGET = 0.1
"""Nats of KL(bare ‖ steered) of the next token, mean over ordinary prompts."""
LARGEST = 16.0
"""Multiple of the directions beyond which no edge is looked for: gated vectors may never spend their budget."""
SMALLEST = LARGEST / 256
"""Where the search for the edge begins."""
MOST_GROWTH = 8.0
"""From one size that is tried to the next."""
STEPS = 6
"""Values between 0 and the KL edge at which the own score is asked whether it still rises."""
TOLERANCE = 0.02
"""Relative, for the edge."""
READINGS = 6
"""Of each kind, that a side of a span takes about."""
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
        count: number of pairs at most, but 4.

    Returns:
        The score that the slider is to raise, and the ordinary prompts.

    Raises:
        SteeringError: where the set isn't that of the slider's record, and for fewer than 4 pairs.

    Example:
        >>> from probes import own_tuning_data
        >>> from steering import extract
        >>> engagement = extract(lm, ContrastSet.builtin("helpfulness")[:20], progress=False)
        >>> own, ordinary = own_tuning_data(lm, engagement, ContrastSet.builtin("helpfulness")[:20])
        >>> len(own.items)
        16
    """
    slider = as_slider(slider)
    found = made_from(slider, slider.title, pairs)
    return score_of_set(lm, found, found.used.spread(max(count, FEWEST)), slider.title), _ordinary(count)


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
    folder: str | Path | None = None,
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
        folder: where finished spans are kept, so that a run that was killed goes on from the last one. Nothing is
            written without it.
        progress: say how long it will take, measured on the bare model, and show a bar.

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
    kept = ResultCache(None if folder is None else Path(folder))
    started = perf_counter()
    trial = _Trial.begin(lm, tried[0], own, ordinary, kl_budget)
    seconds = perf_counter() - started
    data = [model_key(lm), own.fingerprint, to_jsonable_python(ordinary), kl_budget]
    keys = [[*data, SliderMethod(Sliders(slider=one)).fingerprint] for one in tried]
    left = sum(not kept.has(key, Span) for key in keys) + 1
    what = (
        f"calibrating {slider.title!r}: {len(tried)} span{'s' * (len(tried) > 1)} of layers, and the other side of one"
    )
    announce(what, seconds * READINGS * left, progress)
    with tqdm(total=len(tried) + 1, desc="calibrating", unit="span", disable=not progress) as bar:  # announced already
        found = []
        for one, key in zip(tried, keys, strict=True):
            found.append(kept.get(key, Span, partial(trial.upwards, one)))
            bar.update()
        best, chosen = max(zip(found, tried, strict=True), key=lambda pair: pair[0].gain)
        lowest = trial.downwards(chosen) if best.gain > 0 else 0.0
        bar.update()
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
        spans=tuple(one.model_copy(update={"lowest": lowest}) if one is best else one for one in found),
    )
    low = -min(1.0, lowest / best.strength)
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


@dataclass(frozen=True)
class _Trial:
    """What sliders are tried on, and what it gives with nothing moved."""

    lm: LanguageModel
    own: Score
    ordinary: Sequence[ChatLike]
    kl_budget: float
    bare: Float[Tensor, "prompts vocabulary"]
    bare_score: float

    @staticmethod
    def begin(lm: LanguageModel, slider: Slider, own: Score, ordinary: Sequence[ChatLike], budget: float) -> "_Trial":
        """Make one reading of each kind, as all that follow will be."""
        with Sliders(slider=slider).attach(lm) as dial, torch.inference_mode():
            bare = next_token_log_probabilities(lm, ordinary)
            return _Trial(lm, own, ordinary, budget, bare, own.measure(lm, own.items, dial).mean().item())

    def upwards(self, slider: Slider) -> Span:
        """How far the slider can go at its layers, and how far its own score has risen there."""
        with self._readings(slider) as (kl, score):
            edge = _edge(kl, score, self.kl_budget, 1.0)
            gain = score(edge) - self.bare_score
            return Span(layers=slider.pushes[0].layers, strength=edge, kl=kl(edge), gain=gain)

    def downwards(self, slider: Slider) -> float:
        """How far it can go to the other side, as a positive number."""
        with self._readings(slider) as (kl, score):
            return _edge(kl, score, self.kl_budget, -1.0)

    @contextmanager
    def _readings(self, slider: Slider) -> Iterator[tuple[Reading, Reading]]:
        """Mean KL and mean own score by slider value, each value read once."""
        with Sliders(slider=slider).attach(self.lm) as dial, torch.inference_mode():

            @cache
            def kl(value: float) -> float:
                dial.set(slider=value)
                return kl_divergence(self.bare, next_token_log_probabilities(self.lm, self.ordinary)).mean().item()

            @cache
            def score(value: float) -> float:
                dial.set(slider=value)
                return self.own.measure(self.lm, self.own.items, dial).mean().item()

            yield lambda value: kl(value) if value else 0.0, lambda value: score(value) if value else self.bare_score


def _edge(kl: Reading, score: Reading, budget: float, sign: float) -> float:
    """How far the slider can go to one side within the KL budget, the own score changing the right way all along."""
    edge = _kl_edge(lambda size: kl(sign * size), budget)
    for last, value in pairwise(np.linspace(0.0, edge, STEPS + 1).tolist()):
        if sign * (score(sign * value) - score(sign * last)) <= 0:
            return float(last)
    return edge


def _kl_edge(kl: Reading, budget: float) -> float:
    """The size at which the budget is spent, or `LARGEST`. KL grows about as the square of the size."""
    low, high = 0.0, SMALLEST
    while (spent := kl(high)) <= budget:
        if high >= LARGEST:
            return LARGEST
        growth = math.sqrt(budget / spent) if spent > 0 else MOST_GROWTH
        low, high = high, min(LARGEST, high * min(MOST_GROWTH, 1.1 * growth))

    def overspent(size: float) -> float:
        return math.sqrt(max(kl(size), 0.0)) - math.sqrt(budget)

    return float(brentq(overspent, low, high, rtol=TOLERANCE, xtol=TOLERANCE * high))
