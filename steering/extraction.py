"""extract(): from a contrast set to a SteeringVector, in one streamed pass over the model."""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from steering.activations.recording import PairActivations, PairReader, check_finite, check_layers, stream_pairs
from steering.data.contrast import ContrastSet
from steering.directions import DIRECTIONS
from steering.errors import SteeringError, first_line, quoted
from steering.models.bridge import Bridge, language_model
from steering.models.language_model import LanguageModel
from steering.models.token_positions import check_position
from steering.vectors.provenance import Origin, Profile, Source
from steering.vectors.steering_vector import SteeringVector

RELATIVE_PUSH = 0.15
"""How far slider value 1 may push, summed over its layers, as a share of the residual norm: see `_recommended`."""
AUROC_TOLERANCE = 0.02
"""Held-out AUROC within which layers count as equally good."""


def extract(
    lm: LanguageModel | Bridge,
    contrast_set: ContrastSet,
    *,
    method: str = "difference_in_means",
    position: str | None = None,
    layers: Sequence[int] | None = None,
    held_out: float = 0.2,
    progress: bool = True,
    read: PairReader = stream_pairs,
) -> SteeringVector:
    """One direction a layer from the activations of a contrast set's pairs, with figures from held-out pairs.

    Every chat is read once, all layers together. Memory above the model is bounded, however many pairs there are.

    Args:
        lm: the model, or a `TransformerBridge` of one.
        contrast_set: the pairs; + points to their positive sides.
        method: a name in `steering.directions.DIRECTIONS`.
        position: tokens whose activations are averaged; by default `last` for pairs of prompts, `generated` for pairs
            of answers.
        layers: block indices; all by default.
        held_out: share of the pairs kept for the profile.
        progress: show bars.
        read: where the activations come from; `ActivationCache` reads a set once for several vectors, and
            `partial(stream_pairs, ranks=ranks)` inside `Ranks.together()` with all processes of `torchrun`.

    Returns:
        The vector, with the layers where it is best moved: a run that starts where held-out pairs are told apart.

    Raises:
        SteeringError: for unknown names, and for a set too small to hold out a pair.

    Example:
        >>> extract(lm, pairs, progress=False)
        SteeringVector('toy', layers 0-3 of width 32)
    """
    lm = language_model(lm)
    if method not in DIRECTIONS:
        raise SteeringError(f"There is no extraction method {method!r}; choose from {quoted(DIRECTIONS)}.")
    position = position or ("generated" if contrast_set.ends_with_answer else "last")
    check_position(position)
    layers = check_layers(lm, layers)
    rest, tested = contrast_set.split(held_out)
    norms = _NormTally()

    reading = partial(read, lm, layers=layers, position=position, progress=progress)
    try:
        batches = reading(rest.pairs, description=f"{contrast_set.name}: reading pairs")
        directions = DIRECTIONS[method](norms.watch(batches))
    except (ValueError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
        found = f"{len(rest)} pairs of {contrast_set.name!r}: {first_line(error)}"
        problem = f"The method {method!r} can't make directions from {found}"
        raise SteeringError(f"{problem}; use more pairs that differ, or another method.") from error
    if directions.shape != (len(layers), lm.d_model) or not directions.isfinite().all():
        wanted = f"{len(layers)} finite directions of width {lm.d_model}"
        raise SteeringError(f"The method {method!r} should return {wanted}, found shape {tuple(directions.shape)}.")
    residual_norms = norms.mean()
    relative_norms = (directions.norm(dim=-1) / residual_norms).tolist()
    batches = reading(tested.pairs, description=f"{contrast_set.name}: held-out pairs")
    auroc, pair_cosine = _held_out_figures(directions, batches)
    source = Source.of(contrast_set, rest, method, position)
    return SteeringVector(
        directions=directions.float(),
        layers=tuple(layers),
        recommended_layers=_recommended(layers, lm.n_layers, auroc, relative_norms),
        origin=Origin(model=lm.identity, sources=(source,), expression=contrast_set.name),
        profile=Profile(residual_norm=tuple(residual_norms.tolist()), auroc=auroc, pair_cosine=pair_cosine),
    )


class _NormTally:
    """Mean norm a layer of the activations in batches that pass by."""

    def __init__(self) -> None:
        self.total: Tensor | float = 0.0
        self.count = 0

    def watch(self, batches: Iterable[PairActivations]) -> Iterator[PairActivations]:
        for positive, negative in batches:
            check_finite(positive, negative)
            self.total += positive.norm(dim=-1).double().sum(0) + negative.norm(dim=-1).double().sum(0)
            self.count += len(positive) + len(negative)
            yield positive, negative

    def mean(self) -> Tensor:
        return torch.as_tensor(self.total) / self.count


def _held_out_figures(
    directions: Tensor, batches: Iterable[PairActivations]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """AUROC of the projections, and mean cosine of pair differences with the direction, a layer."""
    from sklearn.metrics import roc_auc_score

    unit = torch.nn.functional.normalize(directions.float(), dim=-1)
    projections: list[list[Tensor]] = [[], []]
    cosines = []
    for positive, negative in batches:
        for found, side in zip(projections, (positive, negative), strict=True):
            found.append((side * unit).sum(-1))
        cosines.append(torch.nn.functional.cosine_similarity(positive - negative, unit, dim=-1))
    positives, negatives = (torch.cat(found) for found in projections)
    labels = [1] * len(positives) + [0] * len(negatives)
    auroc = (float(roc_auc_score(labels, column)) for column in torch.cat([positives, negatives]).T.numpy())
    return tuple(auroc), tuple(torch.cat(cosines).mean(0).tolist())


def _recommended(
    layers: Sequence[int], n_layers: int, auroc: Sequence[float], relative_norms: Sequence[float]
) -> tuple[int, ...]:
    """Layers to move until the slider is calibrated: a run of as many as the push allows, at least one.

    It starts at the first layer between half and two thirds of the depth that tells held-out pairs apart about as well
    as the best one there. Published searches end at such depths (Arditi et al.); several small pushes work better than
    a large one, but a sum beyond a good part of the residual norm breaks the text.
    """
    middle = range(n_layers // 2, math.ceil(n_layers * 2 / 3))
    window = [row for row, layer in enumerate(layers) if layer in middle] or [len(layers) - 1]
    best = max(auroc[row] for row in window)
    start = next(row for row in window if auroc[row] >= best - AUROC_TOLERANCE)
    stop, push = start + 1, relative_norms[start]
    while stop <= window[-1] and push + relative_norms[stop] <= RELATIVE_PUSH:
        push += relative_norms[stop]
        stop += 1
    return tuple(layers[start:stop])
