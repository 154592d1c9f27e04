"""Where a vector comes from and how good it was found to be: the record that an artifact carries."""

from pydantic import BaseModel, ConfigDict

from steering.identity import ModelIdentity


class Source(BaseModel):
    """One extraction: which contrast set was read, where, and by which method."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contrast_set: str
    fingerprint: str
    pairs: int
    """Pairs that the direction was made from."""
    held_out_pairs: int
    """Pairs that the figures of the profile were measured on; none of them made the direction."""
    method: str
    position: str


class Origin(BaseModel):
    """What a vector was made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelIdentity
    sources: tuple[Source, ...]
    expression: str
    """The contrast set's name, or how vectors were combined: `safety - 0.5·over-refusal`."""
    recipe: str = ""
    """Name of the published method that assembled the vector, if one did."""


class Profile(BaseModel):
    """Figures of every layer, in the order of the vector's layers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    residual_norm: tuple[float, ...]
    """Mean norm of the states that the direction was made from."""
    auroc: tuple[float, ...]
    """Held-out AUROC of positive against negative sides by their projection on the direction."""
    pair_cosine: tuple[float, ...]
    """Mean cosine of held-out pair differences with the direction (Braun et al., arXiv 2505.22637)."""
