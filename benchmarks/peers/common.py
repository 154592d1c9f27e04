"""What the tools' adapters share: bare decoding, in the same words for all."""

from typing import Any

import torch


class Bare:
    """The model without any tool. Adapters add `extract`, `extract_default` and `steered` around `decode`."""

    def __init__(self, model: Any, tokenizer: Any, jobs: dict[str, Any]) -> None:
        self.model, self.tokenizer, self.jobs = model, tokenizer, jobs
        self.directions = torch.tensor(jobs["directions"])
        """(2, layers, d_model): two axes."""
        self.pairs = [tuple(pair) for pair in jobs["pairs"]]

    def decode(self, rows: int, ids: list[int] | None = None, tokens: int | None = None) -> list[list[int]]:
        """New tokens of so many rows of one prompt, greedily, none ended early."""
        prompt = torch.tensor([ids or self.jobs["prompt"]] * rows)
        count = tokens or self.jobs["tokens"]
        written = self.model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=count,
            eos_token_id=None,
            do_sample=False,
            pad_token_id=0,
        )
        return written[:, prompt.shape[1] :].tolist()

    def bare_1(self) -> list[list[int]]:
        """Batch 1 without steering."""
        return self.decode(1)

    def bare_16(self) -> list[list[int]]:
        """Batch 16 without steering."""
        return self.decode(16)

    def grid(self) -> list[tuple[list[int], float, float]]:
        """Every prompt of the sweep under every setting."""
        values = self.jobs["grid"]
        return [(ids, a, b) for ids in self.jobs["sweep_prompts"] for a in values for b in values]

    def steered_1(self) -> list[list[int]]:
        """Batch 1 with both axes."""
        return self.steered(1)

    def steered_16(self) -> list[list[int]]:
        """Batch 16 with both axes."""
        return self.steered(16)

    def sweep(self) -> list[list[int]]:
        """The loop that a tool's user writes where one setting holds for a whole batch."""
        return [self.steered(1, a, b, ids, self.jobs["sweep_tokens"])[0] for ids, a, b in self.grid()]
