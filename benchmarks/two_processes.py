"""Extraction by two processes of `torchrun` beside one, each with a single thread: the figure in docs/speed.md.

    python benchmarks/two_processes.py

Only the extraction is timed, not the loading, in the first process and after all are ready. The vectors of both are
compared bit by bit.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import torch.distributed as dist
import typer

from steering import ContrastSet, Ranks, SteeringVector, extract, load, stream_pairs


def seconds(processes: int, model: str, out: Path) -> float:
    """Of an extraction of the built-in safety set, whose vector goes to `out`."""
    command = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", __file__, "--model", model]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OUT": str(out)}
    return float(subprocess.check_output([sys.executable, "-m", *command], env=environment, text=True))


def extract_here(model: str) -> None:
    """What each process of `torchrun` does; the first prints its seconds."""
    with Ranks.together() as ranks:
        lm = load(model)
        lm.generate(["Hello"], 2)  # weights that are mapped from a file come into memory when they are first used
        if ranks.size > 1:
            dist.barrier()
        start = time.perf_counter()
        vector = extract(lm, ContrastSet.builtin("safety"), read=partial(stream_pairs, ranks=ranks), progress=False)
        if ranks.is_first:
            print(time.perf_counter() - start)
            vector.save(os.environ["OUT"])


def main(
    model: Annotated[str, typer.Option()] = "smollm2-135m-instruct",
    rounds: Annotated[int, typer.Option()] = 5,
) -> None:
    """Print the figures as Markdown."""
    if "LOCAL_RANK" in os.environ:
        extract_here(model)
        return
    with tempfile.TemporaryDirectory() as name:
        files = {processes: Path(name) / f"{processes}.safetensors" for processes in (1, 2)}
        found: dict[int, list[float]] = {1: [], 2: []}
        for number in range(rounds):
            for processes in (1, 2) if number % 2 else (2, 1):
                found[processes].append(seconds(processes, model, files[processes]))
        one, two = (SteeringVector.load(file).directions for file in files.values())
    ratios = [single / pair for single, pair in zip(found[1], found[2], strict=True)]
    alone, both = (statistics.median(some) for some in found.values())
    same = "same to the last bit" if torch.equal(one, two) else "DIFFER"
    print("| two processes are, times as fast | lowest to highest | one, s | two, s | vectors |\n|---|---|---|---|---|")
    print(
        f"| {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} "
        f"| {alone:.1f} | {both:.1f} | {same} |"
    )


if __name__ == "__main__":
    typer.run(main)
