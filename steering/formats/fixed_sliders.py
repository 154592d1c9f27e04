"""Sliders at fixed values, which is what a file of another tool can say."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from steering.errors import SteeringError
from steering.hooks.sliders import Sliders
from steering.models.identity import ModelIdentity, mismatches
from steering.vectors.steering_vector import SteeringVector


@dataclass(frozen=True, eq=False)
class Setting:
    """Sliders and the value of each: `Setting(sliders, {"safety": 0.8})`. Those that are not named are at 0."""

    sliders: Sliders
    values: Mapping[str, float]
    model_type: str | None = None
    """transformers' name of the architecture, such as `llama`: for vectors that don't know their model."""

    def __post_init__(self) -> None:
        self.sliders.check_axes(self.values)
        for name, value in self.values.items():
            if not isfinite(value):
                raise SteeringError(f"Expected a finite number for slider {name!r}, found {value!r}.")

    @property
    def moved(self) -> dict[str, float]:
        """The values of the sliders that aren't at 0."""
        return {name: float(value) for name, value in self.values.items() if value}

    @property
    def by_axis(self) -> dict[str, "Setting"]:
        """One setting for each slider that isn't at 0: for one file an axis."""
        return {name: replace(self, values={name: value}) for name, value in self.moved.items()}

    @property
    def model(self) -> ModelIdentity | None:
        """The model that the moved vectors were made on, as far as the first that knows it says.

        Raises SteeringError when two of them were made on different models.
        """
        origins = [self.sliders.axes[name].origin for name in self.moved]
        known = [origin.model for origin in origins if origin]
        for other in known[1:]:
            if found := mismatches(known[0], other):
                raise SteeringError(f"Expected vectors of one model: {'; '.join(found.values())}.")
        return known[0] if known else None

    @property
    def architecture(self) -> str | None:
        """`model_type`, or what the vectors say; None where nobody says it."""
        model = self.model
        return self.model_type or (model.model_type if model else None)

    def named_architecture(self, consumer: str) -> str:
        """The same for a file that has to name it. Raises SteeringError where nobody says it."""
        if self.architecture is None:
            raise SteeringError(
                f"A file for {consumer} names its model type, and these vectors don't say which model they belong to; "
                "give it: Setting(sliders, values, model_type='llama'), or --model-type llama."
            )
        return self.architecture

    def additions(self, consumer: str) -> dict[int, Float[Tensor, " d_model"]]:
        """What is added at each block's output, in float32, by block index; empty where all sliders are at 0.

        Raises SteeringError for a vector that does more than add (an intervention, gate, scope, companion or attention
        site), and for vectors of different models or widths: the consumer's file can't say it.
        """
        _ = self.model  # raises for vectors of different models
        if len(widths := {self.sliders.axes[name].d_model for name in self.moved}) > 1:
            raise SteeringError(f"Expected vectors of one model, found widths {sorted(widths)}; export them apart.")
        additions: dict[int, Tensor] = {}
        for name, value in self.moved.items():
            vector = self.sliders.axes[name]
            vector.require_plain(f"for {consumer}")
            for layer in vector.recommended_layers:
                push = torch.tensor(value) * (vector[layer] * vector.unit)
                additions[layer] = additions[layer] + push if layer in additions else push
        return dict(sorted(additions.items()))


Steering: TypeAlias = SteeringVector | Setting
"""What is exported: a vector stands for its slider at 1."""


def as_setting(steering: Steering) -> Setting:
    """A setting as it is; a vector as its slider at 1."""
    return steering if isinstance(steering, Setting) else Setting(Sliders(vector=steering), {"vector": 1.0})


def file_additions(steering: Steering, consumer: str) -> dict[int, Float[Tensor, " d_model"]]:
    """`Setting.additions` for a file, which has to hold something.

    Raises SteeringError when all sliders are at 0.
    """
    additions = as_setting(steering).additions(consumer)
    if not additions:
        raise SteeringError(f"Expected a slider that isn't at 0 to export for {consumer}, found none; set one.")
    return additions
