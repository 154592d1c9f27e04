"""Where a vector comes from and how good it was found to be: the record that an artifact carries."""

import torch
from jaxtyping import Float
from pydantic import BaseModel, model_validator
from torch import Tensor

from steering.data.contrast import ContrastSet
from steering.models.identity import ModelIdentity


class Source(BaseModel, frozen=True, extra="forbid"):
    """One extraction: which contrast set was read, where, and by which method."""

    contrast_set: str
    fingerprint: str
    pairs: int
    """Pairs that the direction was made from."""
    held_out_pairs: int
    """Pairs that the figures of the profile were measured on; none of them made the direction."""
    method: str
    position: str

    @staticmethod
    def of(contrast_set: ContrastSet, used: ContrastSet, method: str, position: str) -> "Source":
        """A set of which some pairs were used, and the rest held out."""
        return Source(
            contrast_set=contrast_set.name,
            fingerprint=contrast_set.fingerprint,
            pairs=len(used),
            held_out_pairs=len(contrast_set) - len(used),
            method=method,
            position=position,
        )


class Origin(BaseModel, frozen=True, extra="forbid"):
    """What a vector was made from."""

    model: ModelIdentity
    sources: tuple[Source, ...]
    expression: str
    """The contrast set's name, or how vectors were combined: `safety - 0.5·over-refusal`."""
    recipe: str = ""
    """Name of the published method that assembled the slider, if one did."""
    citation: str = ""
    """The method's paper."""


class Span(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Layers that were tried moving together, and what was found at the edge of their range."""

    layers: tuple[int, ...]
    strength: float
    """The edge: multiple of the former strength at which the range ends upwards; 0 where nothing rose."""
    lowest: float | None = None
    """The same downwards, as a positive number; None where it wasn't looked for: spans that were not taken."""
    kl: float
    """KL divergence of the next token on ordinary prompts at the upper edge, in nats."""
    gain: float
    """How far the mean of the own score is above the bare model's at the upper edge."""


class Calibration(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """How strength, range and layers of a slider were found, and on which data."""

    score: str
    """What the slider was to raise."""
    data: str
    """Fingerprint of the prompts."""
    prompts: int
    ordinary_prompts: int
    kl_budget: float
    """In nats."""
    spans: tuple[Span, ...]
    """All that were tried; the one with the largest gain was taken."""


class Dose(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """A slider's strength by its value, and what was measured for it.

    Raises:
        pydantic's ValidationError: for rows that don't belong together, and for a curve that falls or misses 0.

    Example:
        >>> from steering.vectors.provenance import Dose
        >>> dose = Dose(outcome="refusals", prompts=8, values=(0, 1), strengths=(0, 3), effects=(0, 0.5))
        >>> dose.strength(torch.tensor([0.5, 2.0]))
        tensor([1.5000, 6.0000])
    """

    outcome: str
    """What is counted, such as "share of harmful prompts whose answer begins as refusals do"."""
    prompts: int
    values: tuple[float, ...]
    strengths: tuple[float, ...]
    """Of the slider at each value."""
    effects: tuple[float, ...]
    """The outcome's change from the bare model, measured at each value."""

    @model_validator(mode="after")
    def _check(self) -> "Dose":
        values, strengths = torch.tensor(self.values), torch.tensor(self.strengths)
        if not len(values) == len(strengths) == len(self.effects) >= 2:
            lengths = f"{len(values)} values, {len(strengths)} strengths and {len(self.effects)} effects"
            raise ValueError(f"expected as many values as strengths and effects, 2 at least, found {lengths}")
        if not (torch.cat([values, strengths]).isfinite().all() and (values.diff() > 0).all()):
            raise ValueError(f"expected finite strengths and ascending values, found values {list(self.values)}")
        if not ((values == 0).any() and (strengths[values == 0] == 0).all() and (strengths.diff() >= 0).all()):
            raise ValueError(f"expected strengths that never fall, 0 at value 0, found {list(self.strengths)}")
        return self

    def strength(self, value: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        """Linear between the values; beyond the first and the last the nearest piece goes on.

        Args:
            value: one for each row, or one for all.

        Returns:
            The strengths in the values' dtype, exactly the given ones at the given values.
        """
        x, y = (torch.tensor(row).double() for row in (self.values, self.strengths))
        given = value.double()
        piece = (torch.searchsorted(x, given, right=True) - 1).clamp(0, len(x) - 2)
        along = (given - x[piece]) / (x[piece + 1] - x[piece])
        return torch.lerp(y[piece], y[piece + 1], along).to(value.dtype)


class Trial(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """One push that was tried at one strength while a slider was made."""

    push: str
    """In words."""
    strength: float
    refused: float
    """Share of tuning prompts whose answer began with a refusal."""
    degenerate: float
    """Share of answers that repeated themselves or were empty."""
    kl: float
    """KL divergence of the next token on ordinary prompts, in nats, if no gate held it back."""
    chosen: bool


class Recognition(BaseModel, frozen=True, extra="forbid"):
    """How a gate told prompts apart that its probe had not seen."""

    prompts: str
    """Whose: `built-in`, the user's `own`, or `own, before` the probe was taught by them."""
    harmful: int
    caught: int
    """Harmful prompts that the gate opened for."""
    harmless: int
    false_alarms: int
    """Harmless prompts that it opened for."""


class Profile(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Figures of every layer, in the order of the vector's layers."""

    residual_norm: tuple[float, ...]
    """Mean norm of the activations that the direction was made from."""
    auroc: tuple[float, ...]
    """Held-out AUROC of positive against negative sides by their projection on the direction."""
    pair_cosine: tuple[float, ...]
    """Mean cosine of held-out pair differences with the direction (Braun et al., arXiv 2505.22637)."""
