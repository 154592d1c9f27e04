"""What happens to the residual stream behind one block of a vLLM model, for all requests of a step at once.

Blocks of vLLM return `(hidden, residual)`, whose sum is the stream, or the stream itself. Additions go to the residual;
whatever reads the stream (gates, other interventions) needs the sum.
"""

from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from steering.errors import SteeringError
from steering.interventions import INTERVENTIONS
from steering.interventions.projection import wide
from steering.serving.vllm.axes import Column
from steering.serving.vllm.buffers import Buffers

Stream: TypeAlias = Float[Tensor, "tokens d_model"]


class SteeredBlock(nn.Module):
    """Gates, additions and interventions behind one block, in this order."""

    def __init__(self, layer: int, d_model: int, columns: list[Column], buffers: Buffers) -> None:
        super().__init__()
        device = buffers.coefficients.device
        bank = torch.zeros(buffers.coefficients.shape[1], d_model, device=device)
        self.register_buffer("coefficients", buffers.coefficients, persistent=False)
        self.register_buffer("bank", bank, persistent=False)
        self.bank: Float[Tensor, "columns d_model"]
        self.coefficients: Float[Tensor, "tokens columns"]
        self.layer = layer
        self.gates = nn.ModuleList()
        self.operations = nn.ModuleList()
        self.moves = False
        for number, column in enumerate(columns):
            if column.push.gate is not None and column.push.gate.layer == layer:
                self.gates.append(_GateReader(number, column, buffers))
            self.add(number, column)
            if not column.is_addition and layer in column.push.layers:
                self.operations.append(_Operation(number, column, layer, buffers))
        self.always = bool(len(self.gates) + len(self.operations))

    def add(self, number: int, column: Column) -> None:
        """Fill the column's row of the bank, if it moves this block by addition."""
        push = column.push
        if column.is_addition and self.layer in push.layers:
            with torch.inference_mode():
                self.bank[number].copy_(push.vector[self.layer] * push.strength)
            self.moves = True

    def forward(self, hidden: Stream, residual: Stream | None) -> tuple[Stream, Stream | None]:
        """The pair after steering; rows whose coefficients are 0 get exactly 0 added."""
        tokens = hidden.shape[0]
        if self.gates:
            stream = _sum(hidden, residual)
            for gate in self.gates:
                gate(stream)
        delta = self.coefficients[:tokens] @ self.bank
        if residual is None:
            hidden = hidden + delta.to(hidden.dtype)
        else:
            residual = residual + delta.to(residual.dtype)
        for operation in self.operations:
            moved, acts = operation(_sum(hidden, residual))
            if residual is None:
                hidden = torch.where(acts, moved, hidden)
            else:
                residual = torch.where(acts, moved - hidden, residual)
        return hidden, residual


def _sum(hidden: Stream, residual: Stream | None) -> Stream:
    return hidden if residual is None else hidden + residual


class _GateReader(nn.Module):
    """One gate: keeps the scores of the prompts' tokens that pass, and multiplies its column by the factors."""

    def __init__(self, number: int, column: Column, buffers: Buffers) -> None:
        super().__init__()
        gate = column.push.gate
        assert gate is not None
        self.number = number
        self.first = next(place for place, (owner, _) in enumerate(buffers.readers) if owner == number)
        self.count = len(gate.tokens)
        self.cosine, self.bias, self.opened = gate.cosine, gate.bias, gate.opened
        weights = gate.direction.T.contiguous().to(buffers.coefficients.device)
        self.register_buffer("weights", weights, persistent=False)
        for name in ("coefficients", "slots", "targets", "scores"):
            self.register_buffer(name, getattr(buffers, name), persistent=False)
        self.weights: Tensor
        self.coefficients: Tensor
        self.slots: Tensor
        self.targets: Tensor
        self.scores: Tensor

    def forward(self, stream: Stream) -> None:
        tokens, readers = stream.shape[0], slice(self.first, self.first + self.count)
        states = wide(stream)
        if self.cosine:
            states = torch.nn.functional.normalize(states, dim=-1)
        self.scores[:, readers].scatter_(0, self.targets[:tokens, readers], states @ self.weights)
        factors = self.opened(self.scores[:, readers].sum(1) + self.bias)
        self.coefficients[:tokens, self.number].mul_(factors[self.slots[:tokens]])


class _Operation(nn.Module):
    """An intervention other than addition, one token a batch row."""

    def __init__(self, number: int, column: Column, layer: int, buffers: Buffers) -> None:
        super().__init__()
        push, device = column.push, buffers.coefficients.device
        self.number, self.strength = number, push.strength
        self.intervention = INTERVENTIONS[push.intervention]
        self.tensors = {name: f"tensor_{name}" for name in push.tensors}
        self.register_buffer("coefficients", buffers.coefficients, persistent=False)
        self.register_buffer("direction", push.vector[layer].clone().to(device), persistent=False)
        for name, tensor in push.tensors_at(layer).items():
            self.register_buffer(self.tensors[name], tensor.clone().to(device), persistent=False)
        self.coefficients: Tensor
        self.direction: Tensor

    def forward(self, stream: Stream) -> tuple[Stream, Tensor]:
        """The moved stream, and on which rows to take it."""
        x = self.coefficients[: stream.shape[0], self.number].reshape(-1, 1, 1) * self.strength
        tensors = {name: getattr(self, buffer) for name, buffer in self.tensors.items()}
        moved = self.intervention(stream.unsqueeze(1), x, self.direction, **tensors).squeeze(1)
        return moved, x.reshape(-1, 1) != 0


def steer_block(block: nn.Module, steered: SteeredBlock, buffers: Buffers) -> None:
    """Let the block's output pass through the steering."""
    block.trimtab = steered

    def hook(_block: nn.Module, _inputs: object, output: object) -> object:
        if buffers.skippable and not (buffers.busy and (steered.moves or steered.always)):
            return None
        if isinstance(output, Tensor):
            return steered(output, None)[0]
        if isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], Tensor):
            return steered(*output)
        raise SteeringError(
            f"Expected a block of vLLM to return a stream, or hidden states and residual, found "
            f"{type(output).__name__}; this architecture can't be steered."
        )

    block.register_forward_hook(hook)
