"""Batches of token rows: like lengths together, padded and masked."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def like_lengths(lengths: Sequence[int], tokens_per_batch: int, padded: bool = True) -> Iterator[list[int]]:
    """Indices in batches of like length, or of one length if not `padded`, longest first, so that running out of memory
    shows at once.

    Rows keep the caller's order inside a batch: what fits into one batch meets a dial's per-row values as expected.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fits = (len(batch) + 1) * lengths[batch[0]] <= tokens_per_batch if batch else True
        if batch and not (fits and (padded or lengths[index] == lengths[batch[0]])):
            yield sorted(batch)
            batch = []
        batch.append(index)
    if batch:
        yield sorted(batch)


def pad(
    rows: Sequence[Sequence[int]], padding_id: int, device: torch.device, side: Literal["left", "right"] = "right"
) -> tuple[Int[Tensor, "rows width"], Int[Tensor, "rows width"]]:
    """Token ids and attention mask of rows of different lengths."""
    ids = [torch.tensor(row, dtype=torch.long) for row in rows]
    mask = [torch.ones_like(row) for row in ids]
    return (
        pad_sequence(ids, batch_first=True, padding_value=padding_id, padding_side=side).to(device),
        pad_sequence(mask, batch_first=True, padding_side=side).to(device),
    )
