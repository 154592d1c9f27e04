"""Independence of axes, layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from steering.errors import SteeringError, quoted
from steering.vectors.steering_vector import SteeringVector, combined_origin


def orthogonalize(vector: SteeringVector, against: SteeringVector, strength: float = 1.0) -> SteeringVector:
    """`w - λ r̂ r̂ᵀ w` with `r̂` the other axis' unit direction (Surgical, arXiv 2410.03415); orthogonal at λ = 1."""
    _check_same_layers([vector, against])
    unit = against.normalized().directions.double()
    directions = vector.directions.double()
    overlap = (directions * unit).sum(-1, keepdim=True)
    origin = combined_origin(f"orthogonalize({{}}, {{}}, {strength:g})", vector, against)
    return replace(vector, directions=directions - strength * overlap * unit, origin=origin, profile=None)


def dual_basis(
    vectors: Sequence[SteeringVector], covariance: Float[Tensor, "layers d_model d_model"] | None = None
) -> list[SteeringVector]:
    """Axes that each move their own readout as far as before, and leave every other axis' readout where it is.

    The readout of axis `a` in state `h` is `a·h`. With the axes as rows of `A`, row i of `(A M Aᵀ)⁻¹ A M` has readout 1
    on axis i and 0 on the others; it is scaled to `a_i·a_i`, what adding the axis itself would do. Of all such shifts
    it is the shortest: in the plain metric with `M = 1`, where it is row i of the pseudo-inverse, and in the whitened
    one, `√(dᵀ Σ⁻¹ d)`, with the states' covariance `Σ` for `M`: then it goes where states vary anyway.

    Args:
        covariance: of states, such as `Moments.covariance`; the plain metric without it.

    Raises SteeringError where the axes are linearly dependent.
    """
    _check_same_layers(vectors)
    axes = torch.stack([vector.directions.double() for vector in vectors], dim=1)  # (layers, axes, d_model)
    for layer, rank in zip(vectors[0].layers, torch.linalg.matrix_rank(axes), strict=True):
        if rank < len(vectors):
            raise SteeringError(
                f"The axes are linearly dependent at layer {layer}; leave one out or select other layers."
            )
    if covariance is not None and covariance.shape != (len(axes), axes.shape[-1], axes.shape[-1]):
        raise SteeringError(
            f"Expected a covariance for each of {len(axes)} layers of width {axes.shape[-1]}, "
            f"found shape {tuple(covariance.shape)}; gather it at the axes' layers."
        )
    measured = axes if covariance is None else axes @ covariance.double()
    try:
        duals = torch.linalg.solve(measured @ axes.mT, measured) * axes.pow(2).sum(-1, keepdim=True)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise SteeringError("The axes can't be told apart in this metric; leave one out or add pairs.") from error
    return [
        replace(
            vector,
            directions=duals[:, index],
            origin=combined_origin(f"dual of axis {index + 1} of {', '.join(['{}'] * len(vectors))}", *vectors),
            profile=None,
        )
        for index, vector in enumerate(vectors)
    ]


def disjoint_layers(first: SteeringVector, second: SteeringVector) -> tuple[SteeringVector, SteeringVector]:
    """The same two sliders, each layer that both would move left to the one that has fewer.

    Two vectors at one layer disturb each other more than at separate ones (van der Weij et al., arXiv 2403.05767).

    Raises SteeringError when both move the same single layer.
    """
    shared = sorted({*first.recommended_layers} & {*second.recommended_layers})
    ours, rest = ([*({*vector.recommended_layers} - {*shared})] for vector in (first, second))
    for layer in shared:
        (ours if len(ours) <= len(rest) else rest).append(layer)
    if not ours or not rest:
        raise SteeringError(f"Both sliders move only layer {shared[0]}; give one of them others first, with select().")
    return (
        replace(first, recommended_layers=tuple(sorted(ours))),
        replace(second, recommended_layers=tuple(sorted(rest))),
    )


class Geometry(BaseModel):
    """How axes lie to each other, layer by layer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    axes: tuple[str, ...]
    layers: tuple[int, ...]
    """Layers that all axes have."""
    cosines: tuple[tuple[tuple[float, ...], ...], ...]
    """`[layer][axis][axis]`: cosine of the two directions."""
    readouts: tuple[tuple[tuple[float, ...], ...], ...]
    """`[layer][moved][read]`: how far slider value 1 of one axis moves the readout along the other's unit direction.

    0 at layers that its slider leaves alone.
    """


def geometry(axes: Mapping[str, SteeringVector], read: Mapping[str, SteeringVector] | None = None) -> Geometry:
    """Cosines between axes, and how far each moves the others' readouts.

    Args:
        axes: the vectors that sliders add.
        read: the vectors that read them, by the same names: the axes themselves when not given. Pass the axes as they
            were before `dual_basis` or `orthogonalize` to see what that did.

    Raises SteeringError when names differ or no layer is common to all.
    """
    read = axes if read is None else read
    if list(read) != list(axes):
        raise SteeringError(f"Expected the same axes to be moved and read, found {quoted(axes)} and {quoted(read)}.")
    vectors = [*axes.values(), *read.values()]
    layers = sorted(set.intersection(*({*vector.layers} for vector in vectors)))
    if not layers:
        raise SteeringError(f"The axes {quoted(axes)} have no layer in common; extract them at the same layers.")
    for vector in axes.values():
        vector.require_plain("for a report of what it adds")
    directions = torch.stack([torch.stack([v[layer] for v in axes.values()]) for layer in layers]).double()
    units = [[v.unit * (layer in v.recommended_layers) for v in axes.values()] for layer in layers]
    moved = directions * torch.tensor(units, dtype=torch.float64).unsqueeze(-1)
    readers = torch.stack([torch.stack([v[layer] for v in read.values()]) for layer in layers]).double()
    readouts = moved @ torch.nn.functional.normalize(readers, dim=-1).mT
    cosines = torch.nn.functional.normalize(directions, dim=-1) @ torch.nn.functional.normalize(readers, dim=-1).mT
    return Geometry(axes=tuple(axes), layers=tuple(layers), cosines=_as_tuples(cosines), readouts=_as_tuples(readouts))


def _as_tuples(values: Float[Tensor, "layers rows columns"]) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(tuple(row) for row in layer) for layer in values.tolist())


def _check_same_layers(vectors: Sequence[SteeringVector]) -> None:
    found = {(vector.layers, vector.d_model) for vector in vectors}
    if len(found) != 1:
        shapes = "; ".join(f"layers {list(layers)} of width {width}" for layers, width in found)
        raise SteeringError(f"Expected axes of the same layers and width, found {shapes}; select() the same layers.")
