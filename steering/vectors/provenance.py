"""Where a vector comes from and how good it was found to be: the record that an artifact carries."""

from pydantic import BaseModel

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
    lowest: float
    """The same downwards, as a positive number."""
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


class Profile(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Figures of every layer, in the order of the vector's layers."""

    residual_norm: tuple[float, ...]
    """Mean norm of the activations that the direction was made from."""
    auroc: tuple[float, ...]
    """Held-out AUROC of positive against negative sides by their projection on the direction."""
    pair_cosine: tuple[float, ...]
    """Mean cosine of held-out pair differences with the direction (Braun et al., arXiv 2505.22637)."""
