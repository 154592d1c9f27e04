"""What was found: one direction a layer, where it comes from, and how well it tells the sides apart."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from steering.display.labels import layer_spans
from steering.errors import SteeringError, quoted
from steering.models.identity import ALLOWABLE, ModelIdentity, mismatches
from steering.vectors.file_format import FileRecord, VectorRecord, naming_file, read_file, write_file
from steering.vectors.provenance import Origin, Profile
from steering.vectors.summary import VectorSummary

if TYPE_CHECKING:
    from steering.models.language_model import LanguageModel


@dataclass(frozen=True, eq=False, repr=False)
class SteeringVector:
    """Directions of one axis, in the coordinates of the residual stream at the blocks' outputs.

    `Sliders(name=vector)` moves a model along it: slider value x adds `x · direction` at every recommended layer.

    Raises:
        SteeringError: for directions that aren't finite rows, one a layer, or layers that don't fit them.

    Example:
        >>> vector = SteeringVector(torch.eye(4)[:2], layers=(5, 6))
        >>> (2 * vector)[5]
        tensor([2., 0., 0., 0.])
    """

    directions: Float[Tensor, "layers d_model"]
    """Float32, not normalized: for difference in means, the distance between the two sides."""
    layers: tuple[int, ...] = ()
    """Block index of every row; 0, 1, 2, … when not given."""
    recommended_layers: tuple[int, ...] = ()
    """Layers where the held-out figures say that it is best moved; all of `layers` when not given."""
    origin: Origin | None = None
    """None for a vector of unknown making, which is only checked for width and number of layers."""
    profile: Profile | None = None
    """Held-out figures by layer; None for combined vectors."""

    def __post_init__(self) -> None:
        directions = torch.as_tensor(self.directions).detach().to("cpu", torch.float32)
        if directions.ndim != 2 or not len(directions) or not directions.isfinite().all():
            found = f"shape {tuple(directions.shape)}"
            found += "" if directions.isfinite().all() else " with infinite or undefined values"
            raise SteeringError(f"Expected finite directions of shape (layers, d_model), found {found}.")
        layers = tuple(self.layers) or tuple(range(len(directions)))
        recommended = tuple(self.recommended_layers) or layers
        if len(layers) != len(directions) or list(layers) != sorted(set(layers)) or min(layers) < 0:
            rows = len(directions)
            raise SteeringError(f"Expected {rows} ascending layers, one a row of the directions, found {list(layers)}.")
        if not set(recommended) <= set(layers):
            raise SteeringError(f"Expected recommended layers out of {list(layers)}, found {list(recommended)}.")
        for name, value in (("directions", directions), ("layers", layers), ("recommended_layers", recommended)):
            object.__setattr__(self, name, value)

    @property
    def d_model(self) -> int:
        """Width of the residual stream that the vector belongs to."""
        return self.directions.shape[1]

    @property
    def norms(self) -> tuple[float, ...]:
        """Norm of the direction at each layer."""
        return tuple(self.directions.norm(dim=1).tolist())

    @property
    def title(self) -> str:
        """The contrast set's name, or the expression that combined several vectors."""
        return self.origin.expression if self.origin else "unnamed"

    def __getitem__(self, layer: int) -> Float[Tensor, " d_model"]:
        """The direction at block `layer`."""
        if layer not in self.layers:
            raise SteeringError(f"This vector has no layer {layer!r}; it has {list(self.layers)}.")
        return self.directions[self.layers.index(layer)]

    def auroc_at(self, layer: int) -> float:
        """Held-out AUROC at a layer.

        Args:
            layer: one of the vector's layers.

        Raises:
            SteeringError: for a vector without a profile.
        """
        if self.profile is None:
            raise SteeringError(f"The vector {self.title!r} has no profile: it was combined or given, not extracted.")
        return self.profile.auroc[self.layers.index(layer)]

    def select(self, layers: Iterable[int]) -> "SteeringVector":
        """The vector with some layers only, all of them recommended.

        Args:
            layers: block indices that the vector has.

        Raises:
            SteeringError: for no layer, or one that the vector doesn't have.
        """
        chosen = tuple(sorted(set(layers)))
        if not chosen:
            raise SteeringError(f"Expected at least one layer to select, found none; choose from {list(self.layers)}.")
        directions = torch.stack([self[layer] for layer in chosen])
        rows = [self.layers.index(layer) for layer in chosen]
        profile = self.profile and Profile(
            **{name: tuple(values[row] for row in rows) for name, values in self.profile.model_dump().items()}
        )
        return SteeringVector(directions, chosen, chosen, self.origin, profile)

    def sparse(self, share: float = 0.05) -> "SteeringVector":
        """Only the largest coordinates of every layer (Jailbreak Antidote, arXiv 2410.02298).

        Args:
            share: `round(share · d_model)` coordinates stay, at least one; above 0, at most 1.

        Raises:
            SteeringError: for another share.
        """
        if not 0 < share <= 1:
            raise SteeringError(f"Expected a share above 0 and at most 1, found {share!r}; write 0.05 for 5 %.")
        return self._made(keep_largest(self.directions, share), f"sparse({{}}, {share:g})")

    def normalized(self) -> "SteeringVector":
        """Every layer's direction at norm 1; the profile stays, as its figures don't depend on the norm.

        Raises:
            SteeringError: where a direction is zero.
        """
        norms = self.directions.norm(dim=1, keepdim=True)
        if not norms.all():
            zero = [layer for layer, norm in zip(self.layers, norms, strict=True) if not norm]
            raise SteeringError(f"Can't normalize a zero direction, found at layers {zero}; select other layers.")
        return replace(self, directions=self.directions / norms)

    def __mul__(self, factor: float) -> "SteeringVector":
        return self._made(self.directions * factor, f"{factor:g}·({{}})")

    __rmul__ = __mul__

    def __neg__(self) -> "SteeringVector":
        return self * -1.0

    def __add__(self, other: "SteeringVector") -> "SteeringVector":
        """The sum of the directions, recommended at the layers of either."""
        return self._combined(other, "({}) + ({})", torch.add)

    def __sub__(self, other: "SteeringVector") -> "SteeringVector":
        return self._combined(other, "({}) - ({})", torch.sub)

    def _combined(
        self, other: "SteeringVector", expression: str, combine: Callable[[Tensor, Tensor], Tensor]
    ) -> "SteeringVector":
        check_same_layers(self, other)
        if self.origin and other.origin and (found := mismatches(self.origin.model, other.origin.model)):
            raise SteeringError(f"Expected two vectors of the same model: {'; '.join(found.values())}.")
        recommended = tuple(sorted({*self.recommended_layers, *other.recommended_layers}))
        made = self._made(combine(self.directions, other.directions), expression, other)
        return replace(made, recommended_layers=recommended)

    def _made(self, directions: Tensor, expression: str, *others: "SteeringVector") -> "SteeringVector":
        """The vector along other directions, which the expression made of it and others."""
        return replace(self, directions=directions, origin=combined_origin(expression, self, *others), profile=None)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, whole or not at all.

        Args:
            path: the file to create or to replace.

        Raises:
            SteeringError: when the file can't be written there.
        """
        write_file(path, FileRecord(vectors=(self.record(),)), {"vectors.0.directions": self.directions})

    def record(self) -> VectorRecord:
        """The part of the vector that its file holds as JSON."""
        return VectorRecord.model_validate(self, from_attributes=True)

    @staticmethod
    def load(
        path: str | Path, lm: "LanguageModel | None" = None, allow_mismatch: Iterable[str] = ()
    ) -> "SteeringVector":
        """Read the vector that `save` wrote.

        Args:
            path: the file.
            lm: the model that it has to belong to; attaching checks it again.
            allow_mismatch: differences to accept, out of `steering.models.identity.ALLOWABLE`.

        Returns:
            The vector as it was saved.

        Raises:
            SteeringError: for a file that isn't such an artifact, holds a slider, or belongs to another model.
        """
        record, tensors = read_file(path)
        if record.slider is not None:
            raise SteeringError(
                f"{str(path)!r} holds a slider, which does more than add a vector; read it with Slider.load(path)."
            )
        with naming_file(path):
            vector = SteeringVector(tensors["vectors.0.directions"], **dict(record.vectors[0]))
        if lm is not None:
            vector.check(lm.identity, allow_mismatch)
        return vector

    def check(self, model: ModelIdentity, allow_mismatch: Iterable[str] = ()) -> None:
        """See that the vector was made on a model.

        Args:
            model: the model's identity, `lm.identity`.
            allow_mismatch: differences to accept, out of `steering.models.identity.ALLOWABLE`.

        Raises:
            SteeringError: where it was made on another.
        """
        if self.d_model != model.d_model or self.layers[-1] >= model.n_layers:
            raise SteeringError(
                f"The vector {self.title!r} has width {self.d_model} and layers up to {self.layers[-1]}, "
                f"{model.name!r} has width {model.d_model} and {model.n_layers} layers; use the model it was made on."
            )
        allowed = set(allow_mismatch)
        if self.origin and (unknown := allowed - {*ALLOWABLE}):
            raise SteeringError(f"There is no mismatch {quoted(unknown)} to allow; choose from {quoted(ALLOWABLE)}.")
        for name, difference in mismatches(self.origin.model, model).items() if self.origin else ():
            if name not in allowed:
                override = f", or pass allow_mismatch=[{name!r}] if you know they agree" if name in ALLOWABLE else ""
                raise SteeringError(
                    f"The vector {self.title!r} doesn't belong here: {difference}; load the model it was made on or "
                    f"extract it anew{override}."
                )
        if self.origin and self.origin.model.former_weights and not self.origin.model.weights:
            warnings.warn(
                f"The vector {self.title!r} records two matrices of its model's weights only, as files did at first; "
                "extract it anew to have all of them checked.",
                stacklevel=2,
            )

    def summary(self) -> VectorSummary:
        """All of the vector but its directions, as text, HTML or JSON."""
        return VectorSummary.model_validate(self, from_attributes=True)

    def __repr__(self) -> str:
        return f"SteeringVector({self.title!r}, layers {layer_spans(self.layers)} of width {self.d_model})"

    def _repr_html_(self) -> str:
        return self.summary().html()


def keep_largest(directions: Float[Tensor, "layers d_model"], share: float = 0.05) -> Float[Tensor, "layers d_model"]:
    """`d ⊙ m`, with `m` the mask of each layer's `round(share · d_model)` largest coordinates, at least one."""
    count = max(1, round(share * directions.shape[-1]))
    kept = directions.abs().topk(count, dim=-1).indices
    return torch.zeros_like(directions).scatter(-1, kept, directions.gather(-1, kept))


def check_same_layers(*vectors: SteeringVector) -> None:
    """Raise SteeringError unless all vectors have the same layers and width."""
    found = {(vector.layers, vector.d_model) for vector in vectors}
    if len(found) != 1:
        shapes = "; ".join(f"layers {list(layers)} of width {width}" for layers, width in found)
        raise SteeringError(f"Expected vectors of the same layers and width, found {shapes}; select() the same layers.")


def combined_origin(expression: str, *vectors: SteeringVector) -> Origin | None:
    """The origin of a combination; unknown as soon as one part's is."""
    origins = [vector.origin for vector in vectors if vector.origin]
    if len(origins) < len(vectors):
        return None
    return Origin(
        model=origins[0].model,
        sources=tuple(source for origin in origins for source in origin.sources),
        expression=expression.format(*(origin.expression for origin in origins)),
    )
