"""Steering written out: one uncached pass over one row, and a hook that is told the true positions."""

from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from steering import Gate, Push, Slider, SteeringVector
from steering.models.decoder_blocks import block_output, find_blocks, with_block_output
from tests.helpers.tiny import random_vector

GATE_LAYER, LAYERS = 1, (1, 2)


@dataclass(frozen=True)
class Steering:
    """What one slider does, as numbers."""

    tokens: str
    gated: bool

    @property
    def vector(self) -> SteeringVector:
        return random_vector(3, layers=LAYERS, scale=2.0)

    @property
    def gate_direction(self) -> Tensor:
        return 0.1 * torch.randn(32, generator=torch.Generator().manual_seed(5))

    def slider(self) -> Slider:
        gate = Gate(GATE_LAYER, self.gate_direction, curve="probability") if self.gated else None
        return Slider((Push(self.vector, layers=LAYERS, tokens=self.tokens, gate=gate),))

    def moves(self, token: int, prompt_length: int) -> bool:
        name, _, number = self.tokens.partition(":")
        answer = token - (prompt_length - 1)
        return {
            "all": True,
            "prompt": token < prompt_length,
            "generated": token >= prompt_length,
            "answer": answer >= 0 and (not number or answer < int(number)),
            "last_prompt_token": answer == 0,
            "prompt_end": token == prompt_length - int(number or 0),
            "from_token": token >= int(number or 0),
        }[name]


@torch.inference_mode()
def answer_logits(
    model: PreTrainedModel, steering: Steering, value: float, prompt: list[int], answer: list[int]
) -> Tensor:
    """The logits from which each of the answer's tokens is chosen, (len(answer), vocabulary)."""
    ids = prompt + answer
    moved = torch.tensor([steering.moves(token, len(prompt)) for token in range(len(ids))])
    factor = [1.0]

    def read(_module: nn.Module, _inputs: object, output: object) -> None:
        last = block_output(output)[0, len(prompt) - 1]
        factor[0] = float(torch.sigmoid(last @ steering.gate_direction))

    def push(layer: int, output: object) -> object:
        h = block_output(output).clone()
        h[0, moved] += value * factor[0] * steering.vector.directions[layer]
        return with_block_output(output, h)

    blocks = find_blocks(model)
    with ExitStack() as stack:
        if steering.gated:
            stack.callback(blocks[GATE_LAYER].register_forward_hook(read).remove)
        for layer in LAYERS:
            hook = blocks[layer].register_forward_hook(lambda _m, _i, output, layer=layer: push(layer, output))
            stack.callback(hook.remove)
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return logits[len(prompt) - 1 : -1].float()
