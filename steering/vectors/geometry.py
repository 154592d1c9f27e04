"""How axes lie to each other, layer by layer, and axes made independent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from einops import einsum, reduce
from jaxtyping import Float
from pydantic import BaseModel
from torch import Tensor

from steering.errors import SteeringError, quoted
from steering.vectors.slider import Slider, as_slider
from steering.vectors.steering_vector import SteeringVector, check_same_layers, combined_origin


def orthogonalize(vector: SteeringVector, against: SteeringVector, strength: float = 1.0) -> SteeringVector:
    """`w - λ r̂ r̂ᵀ w` with `r̂` the other axis' unit direction (Surgical, arXiv 2410.03415).

    Args:
        vector: `w`.
        against: `r`, of the same layers.
        strength: `λ`; orthogonal at 1.

    Returns:
        The vector at the same layers, without its profile.

    Raises:
        SteeringError: for vectors of other layers or widths.

    Example:
        >>> from steering import SteeringVector, orthogonalize
        >>> a, b = (SteeringVector(torch.tensor([row])) for row in ([3.0, 4.0], [0.0, 2.0]))
        >>> orthogonalize(a, against=b).directions
        tensor([[3., 0.]])
    """
    check_same_layers(vector, against)
    unit = against.normalized().directions.double()
    directions = vector.directions.double()
    overlap = reduce(directions * unit, "layers d -> layers 1", "sum")
    origin = combined_origin(f"orthogonalize({{}}, {{}}, {strength:g})", vector, against)
    return replace(vector, directions=directions - strength * overlap * unit, origin=origin, profile=None)


def dual_basis(
    vectors: Sequence[SteeringVector], covariance: Float[Tensor, "layers d_model d_model"] | None = None
) -> list[SteeringVector]:
    """Axes that each move their own readout as far as before, and leave every other axis' readout where it is.

    The readout of axis `a` in activation `h` is `a·h`. With the axes as rows of `A`, row i of `(A M Aᵀ)⁻¹ A M` has
    readout 1 on axis i and 0 on the others; it is scaled to `a_i·a_i`, what adding the axis would do. Of all such
    shifts it is the shortest: in the plain metric with `M = 1`, where it is row i of the pseudo-inverse, and in the
    whitened one, `√(dᵀ Σ⁻¹ d)`, with the activations' covariance `Σ` for `M`: then it goes where they vary anyway.

    Args:
        vectors: the axes, of the same layers.
        covariance: of activations, such as `Moments.covariance`; the plain metric without it.

    Returns:
        The dual axes, in the order of the axes.

    Raises:
        SteeringError: where the axes are linearly dependent.

    Example:
        >>> from steering import SteeringVector, dual_basis
        >>> axes = [SteeringVector(torch.tensor([row])) for row in ([1.0, 0.0], [1.0, 1.0])]
        >>> [dual.directions.round().tolist() for dual in dual_basis(axes)]
        [[[1.0, -1.0]], [[0.0, 2.0]]]
    """
    check_same_layers(*vectors)
    axes = torch.stack([vector.directions.double() for vector in vectors], dim=1)  # (layers, axes, d_model)
    for layer, rank in zip(vectors[0].layers, torch.linalg.matrix_rank(axes), strict=True):
        if rank < len(vectors):
            raise SteeringError(f"The axes are linearly dependent at layer {layer}; leave one out or select others.")
    if covariance is not None and covariance.shape != (len(axes), axes.shape[-1], axes.shape[-1]):
        wanted = f"a covariance for each of {len(axes)} layers of width {axes.shape[-1]}"
        raise SteeringError(f"Expected {wanted}, found {tuple(covariance.shape)}; gather it at the axes' layers.")
    measured = axes if covariance is None else axes @ covariance.double()
    try:
        duals = torch.linalg.solve(measured @ axes.mT, measured) * axes.pow(2).sum(-1, keepdim=True)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise SteeringError("The axes can't be told apart in this metric; leave one out or add pairs.") from error
    names = ", ".join(["{}"] * len(vectors))
    origins = [combined_origin(f"dual of axis {index + 1} of {names}", *vectors) for index in range(len(vectors))]
    return [
        replace(vector, directions=dual, origin=origin, profile=None)
        for vector, dual, origin in zip(vectors, duals.unbind(1), origins, strict=True)
    ]


class Geometry(BaseModel, frozen=True, extra="forbid"):
    """How axes lie to each other, layer by layer."""

    axes: tuple[str, ...]
    layers: tuple[int, ...]
    """Layers that all axes have."""
    cosines: tuple[tuple[tuple[float, ...], ...], ...]
    """`[layer][axis][axis]`: cosine of the two directions."""
    readouts: tuple[tuple[tuple[float, ...], ...], ...]
    """`[layer][moved][read]`: how far slider value 1 of one axis moves the readout along the other's unit direction.

    0 at layers that its slider leaves alone.
    """


def geometry(axes: Mapping[str, Slider | SteeringVector], read: Mapping[str, SteeringVector] | None = None) -> Geometry:
    """Cosines between axes, and how far each moves the others' readouts.

    Args:
        axes: vectors, or sliders that do no more than add one.
        read: the vectors that read them, by the same names: the axes' own when not given. Pass the axes as they were
            before `dual_basis` or `orthogonalize` to see what that did.

    Returns:
        Both, for each layer that all axes have.

    Raises:
        SteeringError: when names differ or no layer is common to all.

    Example:
        >>> from steering import SteeringVector, geometry
        >>> a, b = (SteeringVector(torch.tensor([row])) for row in ([3.0, 0.0], [0.0, 2.0]))
        >>> geometry({"a": a, "b": b}).readouts
        (((3.0, 0.0), (0.0, 2.0)),)
    """
    pushes = {name: as_slider(axis).only_addition("for a report of what it adds") for name, axis in axes.items()}
    read = {name: push.vector for name, push in pushes.items()} if read is None else read
    if list(read) != list(axes):
        raise SteeringError(f"Expected the same axes to be moved and read, found {quoted(axes)} and {quoted(read)}.")
    vectors = [*(push.vector for push in pushes.values()), *read.values()]
    layers = sorted(set.intersection(*({*vector.layers} for vector in vectors)))
    if not layers:
        raise SteeringError(f"The axes {quoted(axes)} have no layer in common; extract them at the same layers.")
    directions = torch.stack([torch.stack([p.vector[layer] for p in pushes.values()]) for layer in layers]).double()
    readers = torch.stack([torch.stack([vector[layer] for vector in read.values()]) for layer in layers]).double()
    readers = torch.nn.functional.normalize(readers, dim=-1)
    strengths = torch.tensor([[p.strength * (layer in p.layers) for p in pushes.values()] for layer in layers])
    pairs = "layers moved d, layers read d -> layers moved read"
    cosines = einsum(torch.nn.functional.normalize(directions, dim=-1), readers, pairs)
    readouts = einsum(directions * strengths.double().unsqueeze(-1), readers, pairs)
    found = {"cosines": cosines.tolist(), "readouts": readouts.tolist()}
    return Geometry.model_validate({"axes": tuple(axes), "layers": layers, **found})
