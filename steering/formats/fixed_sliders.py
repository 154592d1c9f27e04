"""Sliders at fixed values, which is what a file of another tool can say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from steering.errors import SteeringError
from steering.models.identity import ModelIdentity, mismatches
from steering.vectors.slider import Slider, SliderValues, as_slider, check_axes
from steering.vectors.steering_vector import SteeringVector


@dataclass(frozen=True, eq=False)
class FixedSliders:
    """Sliders and the value of each: `FixedSliders(sliders, {"safety": 0.8})`. Those that are not named are at 0.

    Raises:
        SteeringError: for a value of no slider, or one that isn't finite.

    Example:
        >>> from steering import FixedSliders
        >>> FixedSliders({"safety": vector, "helpfulness": -1 * vector}, {"safety": 0.5}).moved
        {'safety': 0.5}
    """

    sliders: Mapping[str, Slider | SteeringVector]
    values: SliderValues
    model_type: str | None = None
    """transformers' name of the architecture, such as `llama`: for vectors that don't know their model."""

    def __post_init__(self) -> None:
        check_axes(self.values, self.sliders)
        for name, value in self.values.items():
            if not isfinite(value):
                raise SteeringError(f"Expected a finite number for slider {name!r}, found {value!r}.")

    @property
    def moved(self) -> dict[str, float]:
        """The values of the sliders that aren't at 0."""
        return {name: float(value) for name, value in self.values.items() if value}

    @property
    def strengths(self) -> list[tuple[Slider, float]]:
        """Every moved slider with the strength that its value stands for."""
        moved = [(as_slider(self.sliders[name]), value) for name, value in self.moved.items()]
        return [(slider, slider.strength(torch.tensor([value])).item()) for slider, value in moved]

    @property
    def by_axis(self) -> dict[str, "FixedSliders"]:
        """One setting for each slider that isn't at 0: for one file an axis."""
        return {name: replace(self, values={name: value}) for name, value in self.moved.items()}

    @property
    def model(self) -> ModelIdentity | None:
        """The model that the moved vectors were made on, as `common_model` finds it."""
        return common_model(slider for slider, _ in self.strengths)

    @property
    def architecture(self) -> str | None:
        """`model_type`, or what the vectors say; None where nobody says it."""
        return self.model_type or (self.model.model_type if self.model else None)

    def named_architecture(self, consumer: str) -> str:
        """The architecture, for a file that has to name it.

        Args:
            consumer: the file's reader, for the message.

        Raises:
            SteeringError: where nobody says it.
        """
        if self.architecture is None:
            raise SteeringError(
                f"A file for {consumer} names its model type, and these vectors don't say which model they belong to; "
                "give it: FixedSliders(sliders, values, model_type='llama'), or --model-type llama."
            )
        return self.architecture

    def additions(self, consumer: str) -> dict[int, Float[Tensor, " d_model"]]:
        """What is added at each block's output.

        Args:
            consumer: the file's reader, for the message.

        Raises:
            SteeringError: for a slider that does more than add at blocks on every token, and for vectors of different
                models or widths: the consumer's file can't say it.
        """
        _ = self.model  # raises for vectors of different models
        if len(widths := {slider.d_model for slider, _ in self.strengths}) > 1:
            raise SteeringError(f"Expected vectors of one model, found widths {sorted(widths)}; export them apart.")
        additions: dict[int, Tensor] = {}
        for slider, strength in self.strengths:
            push = slider.only_addition(f"for {consumer}")
            for layer in push.layers:
                delta = torch.tensor(strength) * (push.vector[layer] * push.strength)
                additions[layer] = additions[layer] + delta if layer in additions else delta
        return dict(sorted(additions.items()))

    def check(self, model: ModelIdentity) -> None:
        """See that the moved sliders were made on a model.

        Args:
            model: the model's identity, `lm.identity`.

        Raises:
            SteeringError: where one was made on another.
        """
        for slider, _ in self.strengths:
            slider.check(model)


Exportable: TypeAlias = SteeringVector | Slider | FixedSliders
"""What is exported: a vector or slider stands for itself at value 1."""


def as_fixed(exportable: Exportable) -> FixedSliders:
    """A setting as it is; a vector or slider at value 1."""
    if isinstance(exportable, FixedSliders):
        return exportable
    return FixedSliders({"vector": exportable}, {"vector": 1.0})


def file_additions(exportable: Exportable, consumer: str) -> dict[int, Float[Tensor, " d_model"]]:
    """`FixedSliders.additions` for a file, which has to hold something: SteeringError when all sliders are at 0."""
    additions = as_fixed(exportable).additions(consumer)
    if not additions:
        raise SteeringError(f"Expected a slider that isn't at 0 to export for {consumer}, found none; set one.")
    return additions


def common_model(sliders: Iterable[Slider]) -> ModelIdentity | None:
    """The model that sliders were made on, None where none says it. Raises SteeringError when two of them disagree."""
    known = [slider.origin.model for slider in sliders if slider.origin]
    for other in known[1:]:
        if found := mismatches(known[0], other):
            raise SteeringError(f"Expected vectors of one model: {'; '.join(found.values())}.")
    return known[0] if known else None
