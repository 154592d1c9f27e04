"""One thing that a slider does: an intervention along a vector, at some layers, on some tokens, behind a gate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from steering.errors import SteeringError, quoted
from steering.interventions import INTERVENTIONS, tensor_names
from steering.interventions.gates import Gate
from steering.models.token_positions import token_choice
from steering.vectors.file_format import GateRecord, PushRecord
from steering.vectors.steering_vector import SteeringVector
from steering.vectors.summary import PushSummary

MovedHookPoint: TypeAlias = Literal["resid_post", "attn_out"]
"""Where a layer is moved: its block's output, or what its attention heads together write to the stream."""


@dataclass(frozen=True, eq=False)
class Push:
    """One thing that a slider does: an intervention along a vector, at some layers, on some tokens.

    Raises:
        SteeringError: for layers, an intervention, tensors or a gate that don't fit the vector or each other.

    Example:
        >>> Push(vector, strength=0.5, tokens="generated").layers == vector.recommended_layers
        True
    """

    vector: SteeringVector
    layers: tuple[int, ...] = ()
    """Layers that are moved; the vector's recommended ones when not given."""
    strength: float = 1.0
    """Multiple of the direction at slider strength 1."""
    intervention: str = "add"
    """A name in `steering.interventions.INTERVENTIONS`."""
    tensors: Mapping[str, Float[Tensor, "layers d_model"]] = field(default_factory=dict)
    """What the intervention takes besides the direction, by name: a row for each of the vector's layers."""
    hook_point: MovedHookPoint = "resid_post"
    tokens: str = "all"
    """Tokens that are moved: see `steering.models.token_positions`."""
    gate: Gate | None = None
    """How far it acts on each prompt; wholly, without one."""

    def __post_init__(self) -> None:
        vector, layers = self.vector, tuple(self.layers) or self.vector.recommended_layers
        if not set(layers) <= set(vector.layers) or list(layers) != sorted(set(layers)):
            known = list(vector.layers)
            raise SteeringError(f"Expected ascending layers out of {known} to move, found {list(layers)}.")
        if not (vector.directions * self.strength).isfinite().all():
            raise SteeringError(f"Expected a strength that keeps the directions finite, found {self.strength!r}.")
        if self.intervention not in INTERVENTIONS:
            raise SteeringError(f"There is no intervention {self.intervention!r}; choose from {quoted(INTERVENTIONS)}.")
        check_moved(self.hook_point)
        token_choice(self.tokens)
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "tensors", self._checked_tensors())
        if self.gate is not None:
            self._check_gate(self.gate)

    def _checked_tensors(self) -> dict[str, Tensor]:
        found = {name: torch.as_tensor(one).detach().to("cpu", torch.float32) for name, one in self.tensors.items()}
        wanted, shape = quoted(tensor_names(self.intervention)), tuple(self.vector.directions.shape)
        if sorted(found) != sorted(tensor_names(self.intervention)):
            raise SteeringError(
                f"The intervention {self.intervention!r} takes the tensors {wanted}, found {quoted(found)}."
            )
        for name, tensor in found.items():
            if tensor.shape != shape or not tensor.isfinite().all():
                raise SteeringError(
                    f"Expected a finite {name} of the directions' shape {shape}, found shape {tuple(tensor.shape)}."
                )
        return found

    def _check_gate(self, gate: Gate) -> None:
        if gate.d_model != self.vector.d_model:
            raise SteeringError(
                f"Expected a gate of the directions' width {self.vector.d_model}, found {gate.d_model}."
            )
        last = self.layers[0] - (self.hook_point == "attn_out")  # attention comes before its block's output
        if not 0 <= gate.layer <= last:
            raise SteeringError(
                f"Expected a gate at layer {last} or below, before the first move, found it at {gate.layer}; move it."
            )

    @property
    def is_addition(self) -> bool:
        """Whether it adds the direction to every prompt, as it is."""
        return self.intervention == "add" and self.gate is None

    def tensors_at(self, layer: int) -> dict[str, Float[Tensor, " d_model"]]:
        """The intervention's tensors at one layer.

        Args:
            layer: one of the vector's layers.
        """
        row = self.vector.layers.index(layer)
        return {name: tensor[row] for name, tensor in self.tensors.items()}

    def record(self, vector: int) -> PushRecord:
        """The part of the push that its file holds as JSON.

        Args:
            vector: number of its vector in the file.
        """
        gate = GateRecord.model_validate(self.gate, from_attributes=True) if self.gate else None
        same = {name: getattr(self, name) for name in ("layers", "strength", "intervention", "hook_point", "tokens")}
        return PushRecord(vector=vector, tensors=tuple(self.tensors), gate=gate, **same)

    def summary(self) -> PushSummary:
        """What it does, as text or JSON."""
        return PushSummary.model_validate(self, from_attributes=True)


def check_moved(hook_point: str) -> None:
    """Raise SteeringError unless layers can be moved at a hook point."""
    if hook_point not in get_args(MovedHookPoint):
        known = quoted(get_args(MovedHookPoint))
        raise SteeringError(f"There is no hook point {hook_point!r} to move; choose from {known}.")
