"""Independence of axes, layer by layer."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from steering.errors import SteeringError
from steering.vector import SteeringVector


def orthogonalize(vector: SteeringVector, against: SteeringVector, strength: float = 1.0) -> SteeringVector:
    """`w - λ r̂ r̂ᵀ w` with `r̂` the other axis' unit direction (Surgical, arXiv 2410.03415); orthogonal at λ = 1."""
    _check_same_layers([vector, against])
    unit = against.normalized().directions.double()
    directions = vector.directions.double()
    overlap = (directions * unit).sum(-1, keepdim=True)
    return replace(vector, directions=directions - strength * overlap * unit, profile=None)


def dual_basis(vectors: Sequence[SteeringVector]) -> list[SteeringVector]:
    """Axes that each move their own readout as far as before, and leave every other axis' readout where it is.

    The readout of axis `a` in state `h` is `a·h`. Row i of the pseudo-inverse of the stacked axes has readout 1 on axis
    i and 0 on the others; it is scaled to `a_i·a_i`, what adding the axis itself would do.

    Raises SteeringError where the axes are linearly dependent.
    """
    _check_same_layers(vectors)
    axes = torch.stack([vector.directions.double() for vector in vectors], dim=1)  # (layers, axes, d_model)
    for layer, rank in zip(vectors[0].layers, torch.linalg.matrix_rank(axes), strict=True):
        if rank < len(vectors):
            raise SteeringError(
                f"The axes are linearly dependent at layer {layer}; leave one out or select other layers."
            )
    duals = torch.linalg.pinv(axes).transpose(1, 2) * axes.pow(2).sum(-1, keepdim=True)
    return [replace(vector, directions=duals[:, index], profile=None) for index, vector in enumerate(vectors)]


def _check_same_layers(vectors: Sequence[SteeringVector]) -> None:
    found = {(vector.layers, vector.d_model) for vector in vectors}
    if len(found) != 1:
        shapes = "; ".join(f"layers {list(layers)} of width {width}" for layers, width in found)
        raise SteeringError(f"Expected axes of the same layers and width, found {shapes}; select() the same layers.")
