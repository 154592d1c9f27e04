"""Forward passes of a tiny model, and what its blocks gave."""

from typing import Any

import torch
from torch import Tensor, nn

from steering import LanguageModel
from steering.models.decoder_blocks import block_output

IDS = torch.randint(5, 270, (3, 12), generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def logits(lm: LanguageModel, ids: Tensor = IDS, **inputs: Any) -> Tensor:
    return lm.model(input_ids=ids, **inputs).logits


def hook_count(lm: LanguageModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in lm.model.modules())


class BlockOutputs:
    """The residual stream after every block, read after the hooks that steer."""

    def __init__(self, lm: LanguageModel) -> None:
        self.states: list[Tensor] = []
        self.kinds: list[type] = []
        self.handles = [block.register_forward_hook(self.read) for block in lm.blocks]

    def read(self, _module: nn.Module, _inputs: object, output: object) -> None:
        self.states.append(block_output(output))
        self.kinds.append(type(output))

    def __enter__(self) -> "BlockOutputs":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()
