"""Batches of token rows: like lengths together, padded on the right, masked."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor


def like_lengths(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Indices in batches of like length, longest first, so that running out of memory shows at once.

    Rows keep the caller's order inside a batch: what fits into one batch meets a dial's per-row values as expected.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens_per_batch:
            yield sorted(batch)
            batch = []
        batch.append(index)
    if batch:
        yield sorted(batch)


def pad(
    rows: Sequence[Sequence[int]], padding_id: int, device: torch.device, side: str = "right"
) -> tuple[Int[Tensor, "rows width"], Int[Tensor, "rows width"]]:
    """Token ids and attention mask of rows of different lengths."""
    width = max(map(len, rows))
    gaps = [[padding_id] * (width - len(row)) for row in rows]
    ids = [[*gap, *row] if side == "left" else [*row, *gap] for gap, row in zip(gaps, rows, strict=True)]
    lengths = torch.tensor([[len(row)] for row in rows])
    places = torch.arange(width)
    mask = places >= width - lengths if side == "left" else places < lengths
    return torch.tensor(ids, device=device), mask.long().to(device)
