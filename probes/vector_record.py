"""What a report says of the vector behind a slider."""

from pydantic import BaseModel, ConfigDict

from steering import SteeringVector
from steering.vectors.provenance import Calibration, Origin, Profile


class VectorRecord(BaseModel):
    """A vector without its tensors: what it does, where it comes from, its figures by layer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    layers: tuple[int, ...]
    recommended_layers: tuple[int, ...]
    norms: tuple[float, ...]
    """Of the direction at each layer."""
    profile: Profile | None
    origin: Origin | None
    calibration: Calibration | None


def describe_vector(vector: SteeringVector) -> VectorRecord:
    """The record of a vector."""
    return VectorRecord(
        description=vector.describe(),
        layers=vector.layers,
        recommended_layers=vector.recommended_layers,
        norms=vector.norms,
        profile=vector.profile,
        origin=vector.origin,
        calibration=vector.calibration,
    )
