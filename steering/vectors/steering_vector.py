"""The artifact: one direction a layer, what it was made from, and how far a slider may move along it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from steering.directions.sparse import keep_largest
from steering.errors import SteeringError, quoted
from steering.interventions import INTERVENTIONS, NEEDS_REFERENCE
from steering.interventions.gates import Gate
from steering.models.identity import ALLOWABLE, ModelIdentity, mismatches
from steering.models.token_positions import token_choice
from steering.vectors.provenance import Calibration, Origin, Profile

if TYPE_CHECKING:
    from steering.models.language_model import LanguageModel


SITES = ("block", "attention")


@dataclass(frozen=True, eq=False, repr=False)
class SteeringVector:
    """Directions of one axis, in the coordinates of the residual stream at the blocks' outputs.

    A slider at value x adds `x · unit · direction` to the output of every recommended layer, unless the vector has an
    intervention or a gate of its own.
    """

    directions: Float[Tensor, "layers d_model"]
    """Float32, not normalised: for difference in means, the distance between the two sides."""
    layers: tuple[int, ...] = ()
    """Block index of every row; 0, 1, 2, … when not given."""
    recommended_layers: tuple[int, ...] = ()
    """Layers that a slider moves; all of `layers` when not given."""
    unit: float = 1.0
    """Multiple of the direction that slider value 1 adds."""
    range: tuple[float, float] = (-1.0, 1.0)
    """Slider values in which the effect was found or is expected to be orderly."""
    origin: Origin | None = None
    """None for a vector of unknown making, which is only checked for width and number of layers."""
    profile: Profile | None = None
    """None for combined vectors."""
    calibration: Calibration | None = None
    """How unit, range and layers were found; None where they are plain defaults."""
    scope: str = "all"
    """Tokens that the slider moves unless `attach` says otherwise: see `steering.models.token_positions`."""
    intervention: str = "add"
    """What the slider does: a name in `steering.interventions.INTERVENTIONS`."""
    site: str = "block"
    """Where a layer is moved: `block`, its output, or `attention`, what its heads together write to the stream."""
    reference: Float[Tensor, "layers d_model"] | None = None
    """Second tensor of the interventions that need one, such as the plane's other direction of `rotate`."""
    gate: Gate | None = None
    """How far the slider acts on each prompt; wholly, without one."""
    companions: tuple["SteeringVector", ...] = ()
    """Vectors that the same slider moves too, each in its own way."""

    def __post_init__(self) -> None:
        directions = torch.as_tensor(self.directions).detach().to("cpu", torch.float32)
        if directions.ndim != 2 or not len(directions) or not directions.isfinite().all():
            raise SteeringError(
                f"Expected finite directions of shape (layers, d_model), found shape {tuple(directions.shape)}"
                f"{'' if directions.isfinite().all() else ' with infinite or undefined values'}; give one row a layer."
            )
        layers = tuple(self.layers) or tuple(range(len(directions)))
        recommended = tuple(self.recommended_layers) or layers
        if len(layers) != len(directions) or list(layers) != sorted(set(layers)) or min(layers) < 0:
            raise SteeringError(
                f"Expected {len(directions)} ascending layers, one a row of the directions, found {list(layers)}."
            )
        if not set(recommended) <= set(layers):
            raise SteeringError(f"Expected recommended layers out of {list(layers)}, found {list(recommended)}.")
        for name, value in (("directions", directions), ("layers", layers), ("recommended_layers", recommended)):
            object.__setattr__(self, name, value)
        self._check_action()

    def _check_action(self) -> None:
        """Raise SteeringError unless intervention, reference, scope, gate and companions fit the directions."""
        token_choice(self.scope)
        if not (self.directions * self.unit).isfinite().all():
            raise SteeringError(f"Expected a unit that keeps the directions finite, found {self.unit!r}; use another.")
        if not -torch.inf < self.range[0] <= self.range[1] < torch.inf:
            raise SteeringError(f"Expected a finite range in order, found {self.range[0]!r} to {self.range[1]!r}.")
        if self.intervention not in INTERVENTIONS:
            raise SteeringError(f"There is no intervention {self.intervention!r}; choose from {quoted(INTERVENTIONS)}.")
        if self.reference is not None:
            reference = torch.as_tensor(self.reference).detach().to("cpu", torch.float32)
            if reference.shape != self.directions.shape or not reference.isfinite().all():
                raise SteeringError(
                    f"Expected a finite reference of the directions' shape {tuple(self.directions.shape)}, "
                    f"found shape {tuple(reference.shape)}; give one row a layer."
                )
            object.__setattr__(self, "reference", reference)
        elif self.intervention in NEEDS_REFERENCE:
            raise SteeringError(f"The intervention {self.intervention!r} needs a reference, one row a layer.")
        if self.gate is not None and self.gate.d_model != self.d_model:
            raise SteeringError(f"Expected a gate of the directions' width {self.d_model}, found {self.gate.d_model}.")
        if self.site not in SITES:
            raise SteeringError(f"There is no site {self.site!r} to move; choose from {quoted(SITES)}.")
        last = min(self.recommended_layers) - (self.site == "attention")  # attention comes before its block's output
        if self.gate is not None and not 0 <= self.gate.layer <= last:
            raise SteeringError(
                f"Expected a gate at layer {last} or below, before the first move, found it at {self.gate.layer}; "
                "read an earlier layer or move later ones."
            )
        if any(companion.companions or companion.d_model != self.d_model for companion in self.companions):
            raise SteeringError("Expected companions of the same width without companions of their own.")

    @property
    def is_plain(self) -> bool:
        """Whether the slider adds the direction to every prompt, as it is."""
        return self.intervention == "add" and self.gate is None

    @property
    def parts(self) -> tuple["SteeringVector", ...]:
        """The vector and its companions."""
        return (self, *self.companions)

    @property
    def d_model(self) -> int:
        """Width of the residual stream that the vector belongs to."""
        return self.directions.shape[1]

    @property
    def norms(self) -> tuple[float, ...]:
        """Of the direction at each layer."""
        return tuple(self.directions.norm(dim=1).tolist())

    def __getitem__(self, layer: int) -> Float[Tensor, " d_model"]:
        """The direction at block `layer`."""
        if layer not in self.layers:
            raise SteeringError(f"This vector has no layer {layer!r}; it has {list(self.layers)}.")
        return self.directions[self.layers.index(layer)]

    def select(self, layers: Iterable[int]) -> "SteeringVector":
        """The vector with these layers only; a slider then moves all of them."""
        if self.companions:
            raise SteeringError(
                f"{self.title!r} moves by {len(self.companions) + 1} vectors; select layers of its parts."
            )
        chosen = tuple(sorted(set(layers)))
        if not chosen:
            raise SteeringError(f"Expected at least one layer to select, found none; choose from {list(self.layers)}.")
        directions = torch.stack([self[layer] for layer in chosen])
        rows = [self.layers.index(layer) for layer in chosen]
        profile = self.profile and Profile(
            **{name: tuple(values[row] for row in rows) for name, values in self.profile.model_dump().items()}
        )
        reference = None if self.reference is None else self.reference[rows]
        return replace(
            self,
            directions=directions,
            layers=chosen,
            recommended_layers=chosen,
            profile=profile,
            calibration=None,
            reference=reference,
        )

    def sparse(self, share: float = 0.05) -> "SteeringVector":
        """Only the largest coordinates of every layer, `round(share · d_model)` of them (Jailbreak Antidote)."""
        if not 0 < share <= 1:
            raise SteeringError(f"Expected a share above 0 and at most 1, found {share!r}; write 0.05 for 5 %.")
        origin = combined_origin(f"sparse({{}}, {share:g})", self)
        kept = keep_largest(self.directions, share)
        return replace(self, directions=kept, origin=origin, profile=None, calibration=None)

    def normalized(self) -> "SteeringVector":
        """Every layer's direction at norm 1. Slider value 1 then adds `unit` (unchanged) along it.

        Raises SteeringError where a direction is zero.
        """
        norms = self.directions.norm(dim=1, keepdim=True)
        if not norms.all():
            zero = [layer for layer, norm in zip(self.layers, norms, strict=True) if not norm]
            raise SteeringError(f"Can't normalise a zero direction, found at layers {zero}; select other layers.")
        return replace(self, directions=self.directions / norms, calibration=None)

    def __mul__(self, factor: float) -> "SteeringVector":
        self.require_plain("to scale")
        origin = combined_origin(f"{factor:g}·({{}})", self)
        return replace(self, directions=self.directions * factor, origin=origin, profile=None, calibration=None)

    __rmul__ = __mul__

    def __neg__(self) -> "SteeringVector":
        return self * -1.0

    def __add__(self, other: "SteeringVector") -> "SteeringVector":
        """What both sliders at 1 would add, at the layers of either; the range is that of the first."""
        return self._plus(other, "({}) + ({})", torch.add)

    def __sub__(self, other: "SteeringVector") -> "SteeringVector":
        return self._plus(other, "({}) - ({})", torch.sub)

    def _plus(
        self, other: "SteeringVector", expression: str, combine: Callable[[Tensor, Tensor], Tensor]
    ) -> "SteeringVector":
        for vector in (self, other):
            vector.require_plain("to combine")
        if self.layers != other.layers or self.d_model != other.d_model:
            raise SteeringError(
                f"Expected two vectors of the same layers and width, found layers {list(self.layers)} of width "
                f"{self.d_model} and {list(other.layers)} of width {other.d_model}; select() the same layers."
            )
        if self.origin and other.origin and (found := mismatches(self.origin.model, other.origin.model)):
            raise SteeringError(f"Expected two vectors of the same model: {'; '.join(found.values())}.")
        return replace(
            self,
            directions=combine(self.unit * self.directions, other.unit * other.directions),
            recommended_layers=tuple(sorted({*self.recommended_layers, *other.recommended_layers})),
            unit=1.0,
            origin=combined_origin(expression, self, other),
            profile=None,
            calibration=None,
        )

    def require_plain(self, purpose: str) -> None:
        """Raise SteeringError unless the vector is no more than additions at blocks, on every token, as it is."""
        if not self.is_plain or self.companions or (self.site, self.scope) != ("block", "all"):
            raise SteeringError(
                f"Expected a plain addition at blocks {purpose}; {self.title!r} does {self.intervention!r} at "
                f"{self.site!r} in scope {self.scope!r} with {'a' if self.gate else 'no'} gate and "
                f"{len(self.companions)} companions."
            )

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, whole or not at all."""
        from steering.vectors.file_format import write_vector

        write_vector(self, path)

    @staticmethod
    def load(
        path: str | Path, lm: "LanguageModel | None" = None, allow_mismatch: Iterable[str] = ()
    ) -> "SteeringVector":
        """Read a file that `save` wrote, and check it against `lm` if one is given (attaching checks again).

        Raises SteeringError for a file that isn't such an artifact, or belongs to another model.
        """
        from steering.vectors.file_format import read_vector

        vector = read_vector(path)
        if lm is not None:
            vector.check(lm.identity, allow_mismatch)
        return vector

    @staticmethod
    def from_pretrained(
        name: str | Path,
        axis: str | None = None,
        lm: "LanguageModel | None" = None,
        allow_mismatch: Iterable[str] = (),
        revision: str | None = None,
    ) -> "SteeringVector":
        """One axis of a folder that `steering.formats.hub` wrote, or of a Hub repository; checked as by `load`.

        The axis may be left out where there is only one. `revision` is a branch, tag or commit of a Hub id.
        Raises SteeringError when there is no such vector, or it belongs to another model.
        """
        from steering.formats.hub import vector_from_pretrained

        vector = vector_from_pretrained(name, axis, revision)
        if lm is not None:
            vector.check(lm.identity, allow_mismatch)
        return vector

    def check(self, model: ModelIdentity, allow_mismatch: Iterable[str] = ()) -> None:
        """Raise SteeringError unless the vector was made on this model.

        `allow_mismatch` names differences to accept, out of `steering.models.identity.ALLOWABLE`.
        """
        highest = max(max(part.layers) for part in self.parts)
        if self.d_model != model.d_model or highest >= model.n_layers:
            raise SteeringError(
                f"The vector {self.title!r} has width {self.d_model} and layers up to {highest}, "
                f"{model.name!r} has width {model.d_model} and {model.n_layers} layers; use the model it was made on."
            )
        if self.origin is None:
            return
        allowed = set(allow_mismatch)
        if unknown := allowed - {*ALLOWABLE}:
            raise SteeringError(f"There is no mismatch {quoted(unknown)} to allow; choose from {quoted(ALLOWABLE)}.")
        for name, difference in mismatches(self.origin.model, model).items():
            if name not in allowed:
                remedy = "load the model it was made on or extract it anew"
                override = (
                    "" if name == "architecture" else f", or pass allow_mismatch=[{name!r}] if you know they agree"
                )
                raise SteeringError(f"The vector {self.title!r} doesn't belong here: {difference}; {remedy}{override}.")

    @property
    def title(self) -> str:
        """The contrast set's name, or the expression that combined several vectors."""
        return self.origin.expression if self.origin else "unnamed"

    def describe(self) -> str:
        """What the vector is and where it comes from, in a few lines of text."""
        lines = [
            f"{self.title}: layers {layer_spans(self.layers)} of width {self.d_model}",
            f"slider: moves layers {layer_spans(self.recommended_layers)}, unit {self.unit:g}, "
            f"range {self.range[0]:g} to {self.range[1]:g}",
        ]
        for part in self.parts:
            if part is not self or not part.is_plain or (part.scope, part.site) != ("all", "block"):
                gate = f", gate {part.gate.curve!r} read at layer {part.gate.layer}" if part.gate else ""
                place = f"{part.site}s {layer_spans(part.recommended_layers)}"
                lines.append(f"does: {part.intervention} at {place}, unit {part.unit:g}, scope {part.scope}{gate}")
        if self.origin and self.origin.recipe:
            lines.append(f"recipe: {self.origin.recipe}")
        if self.origin:
            model = self.origin.model
            lines.append(f"model: {model.name}, {model.model_type}, weights {model.weights}")
            lines.append(f"system prompt: {model.system_prompt!r}, chat template {model.chat_template}")
            lines += [
                f"source: {source.contrast_set} ({source.pairs} pairs, {source.held_out_pairs} held out, "
                f"{source.fingerprint}), {source.method} at {source.position}"
                for source in self.origin.sources
            ]
        if self.calibration:
            found = self.calibration
            lines.append(
                f"calibrated: {found.score!r} on {found.prompts} prompts, KL at most {found.kl_budget:g} nats on "
                f"{found.ordinary_prompts} ordinary ones, {len(found.spans)} spans of layers tried"
            )
        if self.profile:
            best = max(self.recommended_layers, key=lambda layer: self.auroc_at(layer))
            row = self.layers.index(best)
            lines.append(
                f"held out, layer {best}: AUROC {self.profile.auroc[row]:.3f}, "
                f"pair cosine {self.profile.pair_cosine[row]:.3f}, "
                f"norm {self[best].norm():.2f} of a residual norm of {self.profile.residual_norm[row]:.1f}"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"SteeringVector({self.title!r}, layers {layer_spans(self.layers)} of width {self.d_model})"

    def _repr_html_(self) -> str:
        from steering.display.html import vector_html

        return vector_html(self)

    def auroc_at(self, layer: int) -> float:
        """Held-out AUROC at a layer. Raises SteeringError for a vector without a profile."""
        if self.profile is None:
            raise SteeringError(
                f"The vector {self.title!r} has no profile: it was not extracted but combined or given."
            )
        return self.profile.auroc[self.layers.index(layer)]


def combined_origin(expression: str, *vectors: SteeringVector) -> Origin | None:
    """The origin of a combination; unknown as soon as one part's is."""
    origins = [vector.origin for vector in vectors]
    if not all(origins):
        return None
    known = [origin for origin in origins if origin]
    return Origin(
        model=known[0].model,
        sources=tuple(source for origin in known for source in origin.sources),
        expression=expression.format(*(origin.expression for origin in known)),
    )


def layer_spans(layers: tuple[int, ...]) -> str:
    """`(3, 4, 5, 9)` -> `3-5, 9`."""
    spans: list[list[int]] = []
    for layer in layers:
        if spans and layer == spans[-1][1] + 1:
            spans[-1][1] = layer
        else:
            spans.append([layer, layer])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
