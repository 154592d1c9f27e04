"""Vectors that know which model they belong to, and how a slider was calibrated."""

from dataclasses import replace
from typing import Any

from steering import Push, Slider, SteeringVector
from steering.models.identity import ModelIdentity
from steering.vectors.provenance import Calibration, Origin, Span
from tests.helpers.tiny import random_vector, tiny_lm

CALIBRATION = Calibration(
    score="refusal",
    data="1" * 16,
    prompts=8,
    ordinary_prompts=8,
    kl_budget=0.1,
    spans=(Span(layers=(1, 2), strength=2.0, lowest=1.0, kl=0.05, gain=1.0),),
)


def slider_of(vector: SteeringVector, slider_range: tuple[float, float] = (-1.0, 1.0), **push: Any) -> Slider:
    """A slider of one push."""
    return Slider((Push(vector, **push),), slider_range)


def of_model(vector: SteeringVector, model: ModelIdentity | None = None) -> SteeringVector:
    """A vector that knows the tiny Llama as its model."""
    return replace(vector, origin=Origin(model=model or tiny_lm().identity, sources=(), expression="toy"))


def pair_of(model: ModelIdentity) -> dict[str, Slider]:
    """Sliders named as the balanced pair's are, quickly made."""
    return {
        name: slider_of(of_model(random_vector(seed), model), (0.0, 1.0), tokens="generated")
        for seed, name in enumerate(("safety", "helpfulness"))
    }
