"""The dial of a `SteeredLlama`: one request at a time, so one number for each slider."""

from collections.abc import Mapping
from types import EllipsisType

from steering.errors import SteeringError
from steering.hooks.dial_settings import DialSettings
from steering.vectors.slider import HARM, Slider


class LlamaDial:
    """Moves the sliders, between requests and between the tokens of one.

    Args:
        sliders: by name.
    """

    def __init__(self, sliders: Mapping[str, Slider]) -> None:
        self._settings = DialSettings(sliders)

    def set(self, /, *, harm: float | EllipsisType | None = ..., **values: float) -> None:
        """Move the named sliders; the others stay.

        Args:
            harm: the probability that prompts are harmful, in place of what gates read; None goes back to reading.
            values: a number for each.

        Raises:
            SteeringError: for an unknown axis, a value that isn't one finite number, and a harm that is no probability
                or that no gate reads; no slider moves then.
        """
        for name, value in [*values.items(), (HARM, harm)]:
            if not (isinstance(value, int | float) or (name == HARM and value in (None, ...))):
                raise SteeringError(f"Expected one number for {name!r}, as llama.cpp's rows are one, found {value!r}.")
        self._settings.set(harm, values)

    @property
    def settings(self) -> dict[str, float]:
        """The sliders' present values."""
        return {name: value.item() for name, value in self._settings.values.items()}

    @property
    def harm(self) -> float | None:
        """The probability of harm that was set; None where gates read it."""
        harm = self._settings.given_harm
        return None if harm.isnan().any() else harm.item()
