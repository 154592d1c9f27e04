"""The tokens of the rows under way, from their first on: where the answer of a model that thinks starts shows in them.

A pass with a cache brings the new tokens only, and beams change rows between passes. Inside `generate` all tokens are
those that it prepares a pass from; elsewhere those of the passes before are kept.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor

from steering.errors import SteeringError
from steering.models.response_tokens import TAIL

AnswerStart: TypeAlias = Callable[[Sequence[int], int], int]
"""From a row's tokens and its prompt's length to the first token that decides about its answer."""
UNSEEN = -1


class SeenTokens:
    """State of one attached dial in one thread."""

    def __init__(self, answer_start: AnswerStart) -> None:
        self._answer_start = answer_start
        self._seen = torch.empty(0, 0, dtype=torch.long)
        self._prepared: Tensor | None = None
        self._before: dict[int, tuple[int, list[int]]] = {}
        """By row: its prompt's length, and its tokens up to where its answer started."""

    @contextmanager
    def generating(self) -> Iterator[None]:
        """Around one call of the model's `generate`."""
        try:
            yield
        finally:
            self._prepared = None

    @contextmanager
    def preparing(self, input_ids: Tensor, *_args: object, **_kwargs: object) -> Iterator[None]:
        """Around the call in which `generate` prepares a pass from all tokens so far."""
        self._prepared = input_ids
        yield

    def answer_starts(self, new: Tensor | None, past: int, mask: Tensor, prompt_length: Tensor) -> Tensor:
        """Where the answer of every row starts, in real tokens.

        Args:
            new: (rows, seq) tokens of the pass that begins; None where it was given embeddings.
            past: number of positions in the cache.
            mask: (rows, past + seq) of 1 for real tokens.
            prompt_length: (rows, 1) real tokens of the prompts.

        Returns:
            A tensor (rows, 1).

        Raises:
            SteeringError: where tokens that it shows in weren't seen.
        """
        self._seen = self._all_tokens(new, past, mask)
        starts = [
            self._start(number, row[real.bool()].tolist(), int(length))
            for number, (row, real, length) in enumerate(zip(self._seen, mask.cpu(), prompt_length, strict=True))
        ]
        return torch.tensor(starts, device=prompt_length.device).reshape(-1, 1)

    def _all_tokens(self, new: Tensor | None, past: int, mask: Tensor) -> Tensor:
        """(rows, past + seq) tokens on the CPU, `UNSEEN` where they are unknown."""
        rows, columns = mask.shape
        if self._prepared is not None and self._prepared.shape == mask.shape:
            return self._prepared.cpu()
        tokens = torch.full((rows, columns), UNSEEN)
        known = self._seen[:, :past]
        if len(known) in (1, rows):  # one row is what rows that go on from it have in common
            tokens[:, : known.shape[1]] = known
        if new is not None:
            tokens[:, past:] = new.cpu()
        return tokens

    def _start(self, number: int, row: list[int], prompt_length: int) -> int:
        length, begun = self._before.get(number, (0, []))
        if begun and (prompt_length, row[: len(begun)]) == (length, begun):
            return len(begun) - 1
        if len(row) < prompt_length:  # the pass ends within the prompt, before any token that this is about
            return prompt_length - 1
        if UNSEEN in row[max(0, prompt_length - TAIL) :]:
            raise SteeringError(
                "Expected to see all tokens from the prompt's end on, to tell the thought from the answer, found some "
                "that came as embeddings or in a cache; pass input_ids through the attached model from the start, or "
                "attach with tokens='generated'."
            )
        start = self._answer_start(row, prompt_length)
        self._before[number] = (prompt_length, row[: start + 1] if start < len(row) else [])
        return start
