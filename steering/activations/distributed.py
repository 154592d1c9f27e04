"""Several processes that read activations together, as `torchrun` starts them.

Every process runs its share of the batches, and then has the activations of all, one a chat and layer: whatever is made
of them is the same to the last bit as with one process, in every process, by every method.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process' place among those that work together. Each has the whole model."""

    rank: int = 0
    size: int = 1

    @staticmethod
    @contextmanager
    def together() -> Iterator["Ranks"]:
        """The processes of `torchrun` inside, each on the GPU of its number, if any; one where there are no others.

        A process group that is there already is used and left alone.

        Yields:
            This process' place among them.
        """
        joins = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
        if joins:
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            dist.init_process_group()
        try:
            yield Ranks(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else Ranks()
        finally:
            if joins:
                dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, batches: Iterable[T]) -> Iterable[T]:
        """This process' batches.

        Args:
            batches: those of all processes, the same in each.
        """
        return islice(batches, self.rank, None, self.size)

    def all_reduce(self, activations: Tensor) -> None:
        """Fill in, in place, what other processes have read: all numbers but the process' own are 0.

        Args:
            activations: a tensor of one shape in all processes.
        """
        if self.size > 1:
            dist.all_reduce(activations)


ALONE = Ranks()
