"""What the blocks read in every step: tensors that stay where they are while their contents change.

So neither torch.compile nor a CUDA graph has to know which requests run.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steering.serving.vllm.axes import Column


class Buffers:
    """Shared by all blocks of one worker. Columns are pushes; readers are single tokens that gates read."""

    def __init__(
        self, tokens: int, columns: Sequence[Column], spare: int, requests: int, device: torch.device, skippable: bool
    ) -> None:
        gates = [(number, column.push.gate) for number, column in enumerate(columns) if column.push.gate]
        self.readers = [(number, token) for number, gate in gates for token in gate.tokens]
        """Column and token, counted from the prompt's end, of every reader."""
        self.requests = requests
        """Number of slots in which gates keep what they read; the one after them is for tokens that nobody reads."""
        self.coefficients: Float[Tensor, "tokens columns"] = torch.zeros(tokens, len(columns) + spare, device=device)
        """How far each token of the step is moved by each column."""
        self.slots: Int[Tensor, " tokens"] = torch.full((tokens,), requests, device=device)
        """Where the gates of each token's request keep what they read."""
        self.targets: Int[Tensor, "tokens readers"] = torch.full((tokens, len(self.readers)), requests, device=device)
        """The slot that each reader writes a token's score to."""
        self.scores: Float[Tensor, "slots readers"] = torch.zeros(requests + 1, len(self.readers), device=device)
        """What the gates have read of each request's prompt."""
        self.skippable = skippable
        """Whether the blocks' Python code runs in every step, so that a step without steering can leave it out."""
        self.busy = False
        """Whether a token of the step under way is steered."""
