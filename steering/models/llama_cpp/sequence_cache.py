"""What transformers' loops hold in the place of keys and values: the numbers of llama.cpp's sequences."""

import weakref
from collections.abc import Sequence
from typing import Any, NoReturn

from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

from steering.errors import SteeringError
from steering.models.llama_cpp.runtime import Runtime


class SequenceCache(Cache):
    """A batch's rows, each a sequence that llama.cpp holds. They are given back with the object.

    Args:
        runtime: where the sequences are.
        rows: number of rows.
    """

    def __init__(self, runtime: Runtime, rows: int) -> None:
        self._columns = Columns()
        super().__init__(layers=[self._columns])
        self._runtime = runtime
        self.sequences: list[int] = []
        """The sequence of each row."""
        finalizer = weakref.finalize(self, runtime.give_back, self.sequences)
        finalizer.atexit = False  # when Python ends, the context may be gone before
        self.lengths: list[int] = [0] * rows
        """Real tokens of each row."""
        for _ in range(rows):
            self.sequences.append(runtime.lend())

    def add(self, counts: Sequence[int], columns: int) -> None:
        """Count what a pass has added: each row's tokens, in so many columns."""
        self.lengths = [length + count for length, count in zip(self.lengths, counts, strict=True)]
        self._columns.columns += columns

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows, in this order; a row may be named several times."""
        wanted: list[int] = indices.tolist()
        former = [*self.sequences]
        self.sequences[:] = [self._runtime.copy(former[row]) for row in wanted]
        self.lengths = [self.lengths[row] for row in wanted]
        self._runtime.give_back(former)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Let every row go on from the beam that it was chosen from."""
        self.batch_select_indices(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row."""
        self.batch_select_indices(Tensor([row for row in range(len(self.lengths)) for _ in range(repeats)]).long())

    def branch(self, rows: int) -> "SequenceCache":
        """A cache of so many rows that go on from this one's single row, which stays as it is."""
        branched = SequenceCache(self._runtime, 0)
        branched.take(self, rows)
        return branched

    def take(self, other: "SequenceCache", rows: int) -> None:
        """Add so many rows that hold what another cache's single row does, padded on the left to the longest."""
        self.sequences += [self._runtime.copy(other.sequences[0]) for _ in range(rows)]
        self.lengths += other.lengths * rows
        self._columns.columns = max(self.get_seq_length(), other.get_seq_length())

    def __deepcopy__(self, memo: dict[int, Any]) -> "SequenceCache":
        copied = SequenceCache(self._runtime, 0)
        known = vars(self).items()
        vars(copied).update(
            {name: value for name, value in known if name not in ("sequences", "lengths", "layers", "_columns")}
        )
        copied.sequences += map(self._runtime.copy, self.sequences)
        copied.lengths = [*self.lengths]
        copied._columns.columns = self._columns.columns
        return copied


class Columns(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """Counts the columns of the batch, padding among them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.columns = 0

    def get_seq_length(self) -> int:
        """Number of columns."""
        return self.columns

    def get_max_length(self) -> int:
        """There is none."""
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns of a mask for so many tokens more, and where they begin."""
        return self.columns + query_length, 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> NoReturn:
        """Refuse: llama.cpp keeps the keys and values."""
        self.update(key_states, value_states)

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: llama.cpp keeps the keys and values."""
        raise SteeringError("Expected a model that llama.cpp runs behind this cache, found another; give it its own.")
