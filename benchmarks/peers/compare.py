"""Trimtab beside steering-vectors and repeng: the same model files, prompts and vectors, each in its own environment.

    eval "$(bash benchmarks/peers/environments.sh)" && .venv/bin/python benchmarks/peers/compare.py

Every tool runs in a process of its own that stays. In each round all do the same work one after the other, in turning
order; a figure is the median over the rounds of a tool's seconds over Trimtab's in the same round. Tokens are compared
with Trimtab's, directions to 1e-4 relative; a tool that differs is said to.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from steering import ContrastSet, LanguageModel, load
from trimtab.bench import GRID, PROMPT, PUSH, SWEEP_PROMPTS, SWEEP_TOKENS, machine

HERE = Path(__file__).parent
PEERS = {"steering_vectors": "TRIMTAB_STEERING_VECTORS_PYTHON", "repeng": "TRIMTAB_REPENG_PYTHON"}
WORKS = {
    "extract": "extraction, all layers",
    "extract_default": "extraction at its default batch size",
    "steered_1": "decoding, batch 1, two axes on all layers",
    "steered_16": "decoding, batch 16, two axes on all layers",
    "sweep": "5x5 sweep",
}
SAME_AS = {"extract_default": "extract"}
"""Works of a peer that stand beside another of ours."""


class Worker:
    """A tool's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.start_up = self._answer()["seconds"]

    def do(self, work: str) -> dict[str, Any]:
        """Seconds, peak megabytes and result of one work."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{work}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"A worker ended: {self._process.args}; what it says is above.")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def worker(python: str, tool: str, folder: Path, jobs: Path) -> Iterator[Worker]:
    """A tool's process while inside."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    if tool == "trimtab":
        environment["PYTHONPATH"] = str(HERE.parents[1])
    process = subprocess.Popen(
        [python, str(HERE / "worker.py"), tool, str(folder), str(jobs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield Worker(process)
    finally:
        process.terminate()
        process.wait()


def jobs_for(lm: LanguageModel, pairs: int, tokens: int) -> dict[str, Any]:
    """The work as numbers and strings: chats, the same rendered, two random axes."""
    some = ContrastSet.builtin("safety")[:pairs]
    chats = [(pair.positive[-1].content, pair.negative[-1].content) for pair in some]
    sweep_chats = [positive for positive, _ in chats[:SWEEP_PROMPTS]]
    generator = torch.Generator().manual_seed(0)
    return {
        "threads": torch.get_num_threads(),
        "chats": chats,
        "pairs": [[lm.tokenizer.decode(lm.tokenize(text).ids) for text in pair] for pair in chats],
        "directions": (torch.randn(2, lm.n_layers, lm.d_model, generator=generator) * PUSH).tolist(),
        "prompt": lm.tokenize(PROMPT).ids,
        "tokens": tokens,
        "grid": GRID,
        "sweep_chats": sweep_chats,
        "sweep_prompts": [lm.tokenize(text).ids for text in sweep_chats],
        "sweep_tokens": SWEEP_TOKENS,
    }


def agrees(lm: LanguageModel, work: str, ours: Any, theirs: Any) -> str:
    """How a peer's result lies to ours."""
    if theirs is None:
        return "another method"
    if work.startswith("extract"):
        mine, other = torch.tensor(ours), torch.tensor(theirs)
        return "same" if (mine - other).norm() <= 1e-4 * mine.norm() else "DIFFERS"
    if work == "sweep":
        theirs = [text.strip() for text in lm.tokenizer.batch_decode(theirs, skip_special_tokens=True)]
    return "same" if ours == theirs else "DIFFERS"


def main(
    model: Annotated[str, typer.Option()] = "smollm2-135m-instruct",
    pairs: Annotated[int, typer.Option()] = 128,
    tokens: Annotated[int, typer.Option(help="New tokens of the decoding runs.")] = 64,
    rounds: Annotated[int, typer.Option(help="Of all works but the sweep, which runs once.")] = 5,
) -> None:
    """Print the table as Markdown."""
    lm = load(model)
    pythons = {"trimtab": sys.executable} | {
        tool: os.environ[variable] for tool, variable in PEERS.items() if variable in os.environ
    }
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        lm.model.save_pretrained(folder / "model")
        lm.tokenizer.save_pretrained(folder / "model")
        (folder / "jobs.json").write_text(json.dumps(jobs_for(lm, pairs, tokens)))
        workers = {
            tool: stack.enter_context(worker(python, tool, folder / "model", folder / "jobs.json"))
            for tool, python in pythons.items()
        }
        print(f"{lm.identity.name}, float32; {machine()}, {torch.get_num_threads()} threads; {pairs} pairs, {tokens} ")
        print(f"new tokens, {rounds} rounds. Not compared: {sorted({*PEERS} - {*workers}) or 'none'}.\n")
        print("| work | tool | seconds over Trimtab's | lowest to highest | seconds | peak MB | result |")
        print("|---|---|---|---|---|---|---|")
        for tool, one in workers.items():
            ratio = one.start_up / workers["trimtab"].start_up
            print(f"| start-up with the model | {tool} | {ratio:.2f} | | {one.start_up:.1f} | | |", flush=True)
        for work, title in WORKS.items():
            if work == "extract_default" and "steering_vectors" not in workers:  # the others have one batch size
                continue
            found: dict[str, list[dict[str, Any]]] = {tool: [] for tool in workers}
            for number in range(1 if work == "sweep" else rounds):
                order = [*workers][number % len(workers) :] + [*workers][: number % len(workers)]
                for tool in order:
                    if work == "extract_default" and tool == "repeng":
                        continue
                    done = SAME_AS.get(work, work) if tool == "trimtab" else work
                    found[tool].append(workers[tool].do(done))
            ours = found["trimtab"]
            for tool, some in found.items():
                if not some:
                    continue
                ratios = [each["seconds"] / own["seconds"] for each, own in zip(some, ours, strict=True)]
                seconds = statistics.median(each["seconds"] for each in some)
                peak = max(each["peak_mb"] for each in some)
                same = "" if tool == "trimtab" else agrees(lm, work, ours[0]["result"], some[0]["result"])
                print(
                    f"| {title} | {tool} | {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} "
                    f"| {seconds:.2f} | {peak:.0f} | {same} |",
                    flush=True,
                )


if __name__ == "__main__":
    typer.run(main)
