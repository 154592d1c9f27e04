"""Vectors that know which model they belong to."""

from dataclasses import replace
from typing import Any

from steering import Push, Slider, SteeringVector
from steering.models.identity import ModelIdentity
from steering.vectors.provenance import Origin
from tests.helpers.tiny import tiny_lm


def slider_of(vector: SteeringVector, slider_range: tuple[float, float] = (-1.0, 1.0), **push: Any) -> Slider:
    """A slider of one push."""
    return Slider((Push(vector, **push),), slider_range)


def of_model(vector: SteeringVector, model: ModelIdentity | None = None) -> SteeringVector:
    """A vector that knows the tiny Llama as its model."""
    return replace(vector, origin=Origin(model=model or tiny_lm().identity, sources=(), expression="toy"))
