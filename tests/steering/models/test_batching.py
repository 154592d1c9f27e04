"""Rows of different lengths become one batch."""

import pytest
import torch

from steering.models.batching import like_lengths, pad

ROWS = [[5, 6, 7], [8]]


def test_rows_are_padded_on_either_side() -> None:
    ids, mask = pad(ROWS, 9, torch.device("cpu"))
    assert ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    ids, mask = pad(ROWS, 9, torch.device("cpu"), side="left")
    assert ids.tolist() == [[5, 6, 7], [9, 9, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_a_side_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RuntimeError, match="padding_side to be one of left or right, but got lft"):
        pad(ROWS, 9, torch.device("cpu"), side="lft")


def test_batches_hold_like_lengths_longest_first_in_the_callers_order() -> None:
    assert list(like_lengths([1, 4, 2, 4, 1], tokens_per_batch=8)) == [[1, 3], [0, 2, 4]]
