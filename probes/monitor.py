"""A live reading of directions or probes, token by token, while the model answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from steering import LanguageModel
from steering.chats import ChatLike
from steering.decoder_blocks import block_output


@dataclass(frozen=True, eq=False)
class Readout:
    """What is read at one block: `direction·h + bias`."""

    layer: int
    direction: Float[Tensor, " d_model"]
    bias: float = 0.0


@dataclass(frozen=True)
class TokenReading:
    """One token, and what each readout found in its state."""

    token: str
    in_prompt: bool
    readings: dict[str, float]


@torch.inference_mode()
def monitor(
    lm: LanguageModel, prompt: ChatLike, readouts: Mapping[str, Readout], max_new_tokens: int = 64
) -> list[TokenReading]:
    """Answer a prompt greedily and read every token's state, the prompt's and the answer's.

    An attached dial is in force, and its moves at a block are read too. The last token written has no state yet.
    """
    found: dict[str, list[float]] = {name: [] for name in readouts}

    def read(name: str, readout: Readout, _block: nn.Module, _inputs: object, output: object) -> None:
        states = block_output(output)[0].float()
        found[name] += (states @ readout.direction.to(states.device, torch.float32) + readout.bias).tolist()

    handles = [
        lm.blocks[readout.layer].register_forward_hook(partial(read, name, readout))
        for name, readout in readouts.items()
    ]
    ids = lm.tokenize(prompt).ids
    try:
        output = lm.model.generate(  # type: ignore[operator]
            input_ids=torch.tensor([ids], device=lm.model.device),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long, device=lm.model.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=lm.padding_id,
        )
    finally:
        for handle in handles:
            handle.remove()
    count = min([len(values) for values in found.values()], default=0)
    return [
        TokenReading(
            token=str(lm.tokenizer.decode([token])),
            in_prompt=place < len(ids),
            readings={name: values[place] for name, values in found.items()},
        )
        for place, token in enumerate(output[0, :count].tolist())
    ]
