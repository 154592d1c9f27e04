"""What the sliders do at one block: the sum of plain additions, and single vectors with an operation or gate.

Every move has `set(coefficients)`, called when a slider moves, and `apply(h, tracker)`, called in the forward pass.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from steering.errors import SteeringError
from steering.hooks.tracker import TokenTracker
from steering.interventions import INTERVENTIONS
from steering.interventions.add import add
from steering.interventions.gates import Gate
from steering.models.decoder_blocks import block_output
from steering.models.token_positions import from_prompt_end, token_choice
from steering.vectors.steering_vector import SteeringVector

Coefficients = Mapping[str, Float[Tensor, " rows"]]
"""Every slider's value: one, or one a row of the caller's batch."""


class Move(Protocol):
    """Something that changes the residual stream at a block."""

    def set(self, coefficients: Coefficients) -> None:
        """Take over the sliders' values."""

    def apply(self, h: Float[Tensor, "batch seq d_model"], tracker: TokenTracker) -> Float[Tensor, "batch seq d_model"]:
        """The moved states."""


class Addition:
    """`h + Σ coefficient · direction` of plain vectors in one scope, summed when a slider moves.

    The sum stands ready on the block's device in its dtype. It is written over in place, so that code which
    `torch.compile` made goes on with the tensor that it knows.
    """

    def __init__(self, directions: Mapping[str, Tensor], scope: str, block: nn.Module) -> None:
        self._directions = directions
        self._choice = token_choice(scope)
        self._exact = torch.empty(0)
        self._delta = torch.empty(0, **_placement(block))
        self._by_row = False

    def set(self, coefficients: Coefficients) -> None:
        """Work out the sum, (1 or rows, 1, d_model) in float32, and round it to the block's dtype."""
        parts = [coefficients[name].reshape(-1, 1, 1) * direction for name, direction in self._directions.items()]
        delta = sum(parts[1:], start=parts[0])
        # A zero is added as -0.0, the only number that changes neither 0.0 nor -0.0: sliders at 0 are exact.
        self._exact = torch.where(delta == 0, -0.0, delta)
        self._by_row = len(delta) > 1
        if self._delta.shape == delta.shape:
            with torch.inference_mode():  # no gradient is to flow into what the slider writes
                self._delta.copy_(self._exact)
        else:
            self._place(self._delta)

    def apply(self, h: Tensor, tracker: TokenTracker) -> Tensor:
        """One addition in the dtype of `h`."""
        if self._delta.dtype != h.dtype or self._delta.device != h.device:
            self._place(h)
        delta = self._delta
        if self._by_row:
            delta = delta.repeat_interleave(tracker.rows_per_caller_row(len(h), len(delta)), dim=0)
        moved = add(h, delta)
        return moved if self._choice is None else torch.where(tracker.chosen(self._choice, h), moved, h)

    def _place(self, like: Tensor) -> None:
        with torch.inference_mode(False):  # inference tensors could not be written over later
            self._delta = self._exact.to(like.device, like.dtype, copy=True)


def _placement(block: nn.Module) -> dict[str, Any]:
    """Device and dtype that a block most likely returns: those of its weights."""
    weights = (weight for weight in block.parameters() if weight.is_floating_point() and not weight.is_meta)
    found = next(weights, torch.empty(0))
    return {"device": found.device, "dtype": found.dtype}


class GateReading:
    """What one vector's gate found in each batch row's prompt; one a dial, shared by the vector's blocks."""

    def __init__(self, gate: Gate, tracker: TokenTracker) -> None:
        self._gate = gate
        self._tracker = tracker
        self._choices = [from_prompt_end(token) for token in gate.tokens]
        self._factors = torch.empty(0)

    def read(self, _block: nn.Module, _inputs: object, output: object) -> None:
        """Forward hook: read the gate where the pass holds the rows' tokens that it reads, else keep what was read."""
        h = block_output(output)
        if self._tracker.starts_prompt:
            self._factors = torch.empty(0)
        here = torch.stack(
            [self._tracker.chosen(choice, h) for choice in self._choices], dim=1
        )  # (rows, tokens, seq, 1)
        seen = here.any(2).squeeze(-1)  # (rows, tokens)
        whole = seen.all(1)
        if (seen.any(1) & ~whole).any():
            raise SteeringError(
                f"Expected the prompts' tokens {list(self._gate.tokens)} from the end in one forward pass, found only "
                "some of them; pass whole prompts of that length at once (no chunked prefill)."
            )
        if whole.any():
            states = torch.where(here, h.unsqueeze(1), 0).sum(2)
            found = self._gate.factors(states)
            known = self._factors if len(self._factors) == len(h) else torch.zeros_like(found)
            self._factors = torch.where(whole, found, known.to(found.device))

    def factors(self, h: Tensor) -> Float[Tensor, "rows 1 1"]:
        """The factors of the rows under way, each prompt's repeated for its beams.

        Raises SteeringError when these rows' prompts were not read.
        """
        read = len(self._factors)
        if not read or len(h) % read:
            raise SteeringError(
                f"Expected to have read the prompts of {len(h)} rows, found {read}; "
                "pass whole prompts through the attached model at once (no chunked prefill) before you decode on."
            )
        return self._factors.to(h.device).repeat_interleave(len(h) // read).reshape(-1, 1, 1)


class Operation:
    """One vector's intervention at one block, on the rows that its gate lets through."""

    def __init__(self, name: str, vector: SteeringVector, layer: int, scope: str, gate: GateReading | None) -> None:
        self._name = name
        self._unit = vector.unit
        self._direction = vector[layer]
        row = vector.layers.index(layer)
        self._reference = torch.empty(0) if vector.reference is None else vector.reference[row]
        self._intervention = INTERVENTIONS[vector.intervention]
        self._choice = token_choice(scope)
        self._gate = gate
        self._coefficient = torch.empty(0)
        self._idle = True

    def set(self, coefficients: Coefficients) -> None:
        """Take over the slider's value, (1 or rows, 1, 1)."""
        self._coefficient = coefficients[self._name].reshape(-1, 1, 1) * self._unit
        self._idle = not self._coefficient.any()

    def apply(self, h: Tensor, tracker: TokenTracker) -> Tensor:
        """The intervention where value, gate and scope let it act; elsewhere exactly `h`."""
        if self._idle:
            return h
        x = self._coefficient.to(h.device)
        if len(x) > 1:
            x = x.repeat_interleave(tracker.rows_per_caller_row(len(h), len(x)), dim=0)
        if self._gate is not None:
            x = x * self._gate.factors(h)
        if self._direction.device != h.device:
            self._direction, self._reference = self._direction.to(h.device), self._reference.to(h.device)
        acts = x != 0
        if self._choice is not None:
            acts = acts & tracker.chosen(self._choice, h)
        return torch.where(acts, self._intervention(h, x, self._direction, self._reference), h)
