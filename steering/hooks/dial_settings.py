"""Where the sliders of a dial stand: checked before any of them moves."""

import math
from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import TypeAlias

import torch
from torch import Tensor

from steering.errors import SteeringError
from steering.vectors.slider import HARM, Slider, check_axes, check_reads_harm

SliderValue: TypeAlias = float | Sequence[float] | Tensor
"""A slider's value: one number, or one a row of the batch."""
HarmScore: TypeAlias = float | Sequence[float | None] | Tensor
"""The probability that a prompt is harmful: one number, or one a row; None or NaN for a row that gates read."""


class DialSettings:
    """The values of sliders, all at 0 at first, and the harm that a caller gives.

    Args:
        sliders: by name.
    """

    def __init__(self, sliders: Mapping[str, Slider]) -> None:
        self._sliders = sliders
        self.values = {name: torch.zeros(1) for name in sliders}
        """One for all rows, or one a row, in float32."""
        self.strengths = self._strengths(self.values)
        """What the values stand for."""
        self.given_harm = torch.tensor([torch.nan])
        """The same of the harm; NaN where gates are to read."""

    def set(self, harm: HarmScore | EllipsisType | None, values: Mapping[str, SliderValue]) -> None:
        """Move the named sliders; none moves where one can't.

        Args:
            harm: as `Dial.set` takes it.
            values: by slider.

        Raises:
            SteeringError: for what `Dial.set` names.
        """
        check_axes(values, self._sliders)
        moved = self.values | {name: _as_rows(name, value) for name, value in values.items()}
        given = self.given_harm if isinstance(harm, EllipsisType) else _as_probabilities(harm)
        if not given.isnan().all():
            check_reads_harm(self._sliders.values())
        rows = {name: len(value) for name, value in [*moved.items(), (HARM, given)] if len(value) > 1}
        if len(set(rows.values())) > 1:
            raise SteeringError(f"Expected one number of rows for all sliders, found {rows}; set them together.")
        strengths = self._strengths(moved)
        self.values, self.strengths, self.given_harm = moved, strengths, given

    def _strengths(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: self._sliders[name].strength(rows) for name, rows in values.items()}

    @property
    def settings(self) -> dict[str, float | list[float]]:
        """The sliders' present values."""
        return {name: value.item() if len(value) == 1 else value.tolist() for name, value in self.values.items()}

    @property
    def harm(self) -> float | list[float | None] | None:
        """The probability of harm that was set, for all rows or each; None where gates read it."""
        rows = [None if math.isnan(one) else one for one in self.given_harm.tolist()]
        return rows[0] if len(rows) == 1 else rows


def _as_rows(name: str, value: SliderValue) -> Tensor:
    try:
        rows = torch.as_tensor(value, dtype=torch.float32).detach().cpu().reshape(-1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SteeringError(f"Expected a number or a list of numbers for slider {name!r}, found {value!r}.") from error
    if not len(rows) or not rows.isfinite().all():
        raise SteeringError(f"Expected finite numbers for slider {name!r}, found {value!r}.")
    return rows


def _as_probabilities(harm: HarmScore | None) -> Tensor:
    """A row of NaN for each prompt that gates are to read; a single one where they are to read all."""
    try:
        listed = [math.nan if one is None else one for one in harm] if isinstance(harm, Sequence) else harm
        rows = torch.as_tensor(math.nan if listed is None else listed, dtype=torch.float32).detach().cpu().reshape(-1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SteeringError(f"Expected harm as a probability or a list of them, found {harm!r}.") from error
    if not len(rows) or ((rows < 0) | (rows > 1)).any():
        raise SteeringError(f"Expected harm as probabilities from 0 to 1, found {harm!r}.")
    return rows[:1] if rows.isnan().all() else rows
