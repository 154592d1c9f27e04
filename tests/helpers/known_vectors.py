"""Vectors that know which model they belong to."""

from dataclasses import replace

from steering import SteeringVector
from steering.models.identity import ModelIdentity
from steering.vectors.provenance import Origin
from tests.helpers.tiny import tiny_lm


def of_model(vector: SteeringVector, model: ModelIdentity | None = None) -> SteeringVector:
    """A vector that knows the tiny Llama as its model."""
    return replace(vector, origin=Origin(model=model or tiny_lm().identity, sources=(), expression="toy"))
