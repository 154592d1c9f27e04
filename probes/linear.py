"""Linear probes: how well one side of a contrast set can be told from the other, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from probes.intervals import BOOTSTRAP, Estimate
from steering import ContrastSet, LanguageModel
from steering.activations.recording import Activations, check_layers, stream_pairs
from steering.atomic_write import atomic_write
from steering.directions.standardized import fit_standardized
from steering.errors import SteeringError, first_line
from steering.vectors.provenance import Origin, Source

METADATA_KEY = "trimtab.linear_probe"


class _Record(BaseModel, frozen=True, extra="forbid"):
    """The JSON part of a probe's file."""

    layers: tuple[int, ...]
    auroc: tuple[Estimate, ...]
    brier: tuple[float, ...]
    origin: Origin


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A logistic probe a layer: probability that an activation is of the positive side."""

    weights: Float[Tensor, "layers d_model"]
    bias: Float[Tensor, " layers"]
    layers: tuple[int, ...]
    auroc: tuple[Estimate, ...]
    """On held-out pairs, with bootstrap intervals over pairs."""
    brier: tuple[float, ...]
    """Mean squared error of the probability on held-out pairs: 0 is perfect, 0.25 is a coin."""
    origin: Origin

    def probability(self, activations: Activations) -> Float[Tensor, "chats layers"]:
        """Probability of the positive side.

        Args:
            activations: at the probe's layers, (chats, layers, d_model).
        """
        return torch.sigmoid((activations.float() * self.weights).sum(-1) + self.bias)

    @property
    def best_layer(self) -> int:
        """The layer that tells held-out sides apart best."""
        return max(zip(self.layers, self.auroc, strict=True), key=lambda pair: pair[1].value)[0]

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, whole or not at all.

        Args:
            path: the file to create or to replace.

        Raises:
            SteeringError: when the file can't be written there.
        """
        record = _Record(layers=self.layers, auroc=self.auroc, brier=self.brier, origin=self.origin)
        with atomic_write(path) as temporary:
            tensors = {"weights": self.weights.contiguous(), "bias": self.bias.contiguous()}
            save_file(tensors, temporary, metadata={METADATA_KEY: record.model_dump_json()})

    @staticmethod
    def load(path: str | Path) -> "LinearProbe":
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The probe as it was saved.

        Raises:
            SteeringError: for any other file.
        """
        try:
            with safe_open(path, framework="pt") as file:
                record = _Record.model_validate_json((file.metadata() or {}).get(METADATA_KEY, ""))
                weights, bias = file.get_tensor("weights"), file.get_tensor("bias")
        except (SafetensorError, OSError, ValueError) as error:
            reason = first_line(error)
            raise SteeringError(f"{str(path)!r} is no file of a linear probe ({reason}); fit one anew.") from error
        if weights.ndim != 2 or {len(weights), len(bias), len(record.auroc), len(record.brier)} != {len(record.layers)}:
            raise SteeringError(f"{str(path)!r} is damaged: its parts are not of {len(record.layers)} layers.")
        return LinearProbe(weights, bias, **dict(record))


def fit_probe(
    lm: LanguageModel,
    contrast_set: ContrastSet,
    *,
    position: str | None = None,
    layers: Sequence[int] | None = None,
    held_out: float = 0.2,
    progress: bool = True,
) -> LinearProbe:
    """A logistic regression (scikit-learn, standardized activations) a layer, measured on pairs that were held out.

    The fit needs all activations at once: memory grows with the number of pairs.

    Args:
        lm: the model.
        contrast_set: the pairs; their positive sides are what the probe finds.
        position: as `steering.extract` takes it.
        layers: block indices; all by default.
        held_out: share of the pairs that the probe is measured on.
        progress: show bars.

    Returns:
        The probe, with AUROC and Brier score on held-out pairs.

    Raises:
        SteeringError: for an unknown position or layer, and for a set too small to hold out a pair.

    Example:
        >>> from probes import fit_probe
        >>> fit_probe(lm, pairs, layers=[1, 2], progress=False).weights.shape
        torch.Size([2, 32])
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import brier_score_loss

    position = position or ("generated" if contrast_set.ends_with_answer else "last")
    layers = check_layers(lm, layers)
    parts = []
    for pairs in contrast_set.split(held_out):
        batches = list(stream_pairs(lm, pairs.pairs, layers=layers, position=position, progress=progress))
        positive, negative = (torch.cat(side) for side in zip(*batches, strict=True))
        parts.append((torch.cat([positive, negative]), [1] * len(positive) + [0] * len(negative)))
    (activations, labels), (tested, truth) = parts
    fits = [
        fit_standardized(LogisticRegression(C=0.01, max_iter=1000), layer.double().numpy(), labels)
        for layer in activations.unbind(1)
    ]
    weights = torch.from_numpy(np.stack([fit[0] for fit in fits])).float()
    bias = torch.tensor([fit[1] for fit in fits])
    probabilities = torch.sigmoid((tested * weights).sum(-1) + bias).numpy()
    source = Source(
        contrast_set=contrast_set.name,
        fingerprint=contrast_set.fingerprint,
        pairs=len(labels) // 2,
        held_out_pairs=len(truth) // 2,
        method="logistic",
        position=position,
    )
    return LinearProbe(
        weights=weights,
        bias=bias,
        layers=tuple(layers),
        auroc=tuple(auroc_with_interval(truth, column) for column in probabilities.T),
        brier=tuple(float(brier_score_loss(truth, column)) for column in probabilities.T),
        origin=Origin(model=lm.identity, sources=(source,), expression=contrast_set.name),
    )


def auroc_with_interval(labels: Sequence[int], scores: Sequence[float], seed: int = 0) -> Estimate:
    """Area under the ROC curve with a 95 % bootstrap interval, each side resampled for itself (scipy)."""
    from scipy.stats import bootstrap, mannwhitneyu

    values, truth = np.asarray(scores, dtype=float), np.asarray(labels)
    sides = values[truth == 1], values[truth == 0]

    def area(positive: NDArray[np.float64], negative: NDArray[np.float64], axis: int = -1) -> Any:
        pairs = positive.shape[axis] * negative.shape[axis]
        return mannwhitneyu(positive, negative, axis=axis, method="asymptotic").statistic / pairs

    value = float(area(*sides))
    if min(map(len, sides)) < 2 or value in (0.0, 1.0):
        return Estimate.exactly(value)
    found = bootstrap(sides, area, method="percentile", rng=np.random.default_rng(seed), **BOOTSTRAP)
    low, high = found.confidence_interval
    return Estimate(value=value, low=float(low), high=float(high))
