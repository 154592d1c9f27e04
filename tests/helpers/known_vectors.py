"""Vectors that know which model they belong to, and how a slider was calibrated."""

from dataclasses import replace
from typing import Any

from steering import Push, Slider, SteeringVector
from steering.models.identity import ModelIdentity
from steering.vectors.provenance import Calibration, Dose, Origin, Recognition, Span, Trial
from tests.helpers.tiny import random_vector, tiny_lm

CALIBRATION = Calibration(
    score="refusal",
    data="1" * 16,
    prompts=8,
    ordinary_prompts=8,
    kl_budget=0.1,
    spans=(Span(layers=(1, 2), strength=2.0, lowest=1.0, kl=0.05, gain=1.0),),
)

DOSE = Dose(
    outcome="share of harmful prompts whose answer begins as refusals do",
    prompts=64,
    values=(-1.0, 0.0, 0.25, 1.0),
    strengths=(-0.5, 0.0, 0.1, 3.0),
    effects=(-0.2, 0.0, 0.305, 0.7),
)
TRIALS = (
    Trial(push="add at layers 1-2", strength=2.0, refused=0.7, degenerate=0.0, kl=0.01, chosen=True),
    Trial(push="add at layers 1-3", strength=4.0, refused=0.8, degenerate=0.4, kl=0.3, chosen=False),
)
RECOGNITION = (
    Recognition(prompts="own, before", harmful=30, caught=21, harmless=40, false_alarms=9),
    Recognition(prompts="own", harmful=30, caught=28, harmless=40, false_alarms=4),
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
