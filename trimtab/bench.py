"""What steering costs on this machine: measures in pairs, ours beside the bare model or the plain loop.

Both sides of a pair run in turn, so that a machine that is now faster and now slower disturbs their ratio less.
"""

import copy
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import StaticCache

from steering import ContrastSet, LanguageModel, Sliders, SteeringVector, extract, sweep
from steering.activations.recording import TOKENS_PER_BATCH
from steering.activations.shared_prefix import shared_prefix
from steering.data.chats import ChatLike
from steering.models.batching import like_lengths, pad
from steering.progress import Progress

PAIRS = 128
"""Pairs of prompts from the built-in safety set."""
PUSH = 0.01
"""Standard deviation of the random vectors that are added at every layer: the time doesn't depend on it."""
GRID = (-1.0, -0.5, 0.0, 0.5, 1.0)
SWEEP_PROMPTS, SWEEP_TOKENS = 8, 32
PROMPT = "Why is the sky blue?"

Work = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """One line of the table."""

    name: str
    ratio: float
    """Median over the rounds of the reference's seconds over ours: above 1, ours is faster."""
    lowest: float
    highest: float
    ours_seconds: float
    reference_seconds: float


@dataclass(frozen=True)
class BenchResult:
    """All that a run found, and where."""

    model: str
    dtype: str
    machine: str
    versions: str
    threads: int
    rounds: int
    start_up_seconds: float
    """What a new process takes that imports what `load`, `extract` and `Sliders` need."""
    extraction_peak_mb: float | None
    """Highest memory while extracting, above the loaded model; None where the system doesn't say (not Linux)."""
    ratios: list[Ratio]
    sweep_is_identical: bool
    """Whether the sweep gave the answers of the loop."""


def bench(lm: LanguageModel, rounds: int, new_tokens: int, compiled: bool, progress: bool = True) -> BenchResult:
    """All measures, with a progress bar if wanted."""
    vectors = torch.randn(2, lm.n_layers, lm.d_model, generator=torch.Generator().manual_seed(0)) * PUSH
    sliders = Sliders(first=SteeringVector(vectors[0]), second=SteeringVector(vectors[1]))
    pairs = ContrastSet.builtin("safety")[:PAIRS]
    import sklearn.metrics  # noqa: F401 - the library's own memory isn't extraction's

    lm.generate([PROMPT], 2)  # weights that are mapped from a file come into memory when they are first used
    peak = peak_mb(lambda: extract(lm, pairs, progress=False))
    answers: list[list[list[str]]] = []
    measures = _measures(lm, sliders, pairs, rounds, new_tokens, compiled, answers)
    total = 5 if compiled else 4
    bar = Progress(measures, total=total, desc="measuring costs", unit="measure", disable=not progress)
    ratios = [paired(*measure) for measure in bar]
    return BenchResult(
        model=lm.identity.name,
        dtype=str(lm.model.dtype).removeprefix("torch."),
        machine=machine(),
        versions=f"torch {torch.__version__}, transformers {version('transformers')}",
        threads=torch.get_num_threads(),
        rounds=rounds,
        start_up_seconds=_start_up(),
        extraction_peak_mb=peak,
        ratios=ratios,
        sweep_is_identical=all(found == answers[0] for found in answers),
    )


def _measures(
    lm: LanguageModel,
    sliders: Sliders,
    pairs: ContrastSet,
    rounds: int,
    tokens: int,
    compiled: bool,
    answers: list[list[list[str]]],
) -> Iterator[tuple[str, Work, Work, int]]:
    """Name, our work, the reference and the rounds of every measure; the sweep's and the loop's answers are kept."""
    rows = [lm.tokenize(chat).ids for pair in pairs for chat in (pair.positive, pair.negative)]
    name = f"extraction, {len(pairs)} pairs, all layers / forward passes of their distinct tokens"
    yield name, lambda: extract(lm, pairs, progress=False), partial(_forward_passes, lm, rows), rounds
    for count in (1, 16):
        bare = partial(lm.generate, [PROMPT] * count, tokens, min_new_tokens=tokens)
        name = f"decoding {tokens} tokens, batch {count}, two axes on all layers / bare"
        yield name, partial(_steered, lm, sliders, bare), bare, rounds
    if compiled:  # with a static cache; the copy is attached before both are compiled
        copied = copy.deepcopy(lm.model)
        ids = torch.tensor([lm.tokenize(PROMPT).ids], device=lm.input_device)
        with sliders.attach(copied) as dial:
            dial.set(first=1.0, second=-0.5)
            compiled_models = [torch.compile(model, fullgraph=True) for model in (copied, lm.model)]
            steered, plain = (partial(_decode, model, ids, tokens) for model in compiled_models)
            name = f"compiled decoding {tokens} tokens, static cache, two axes on all layers / compiled bare"
            yield name, steered, plain, rounds
    middle = range(lm.n_layers // 2, max(lm.n_layers // 2 + 1, lm.n_layers * 2 // 3))
    thin = Sliders(**{name: slider.pushes[0].vector.select(middle) for name, slider in sliders.items()})
    prompts = [pair.positive for pair in pairs[:SWEEP_PROMPTS]]
    settings = [{"first": first, "second": second} for first, second in product(GRID, GRID)]
    swept = partial(sweep, lm, thin, prompts, settings, max_new_tokens=SWEEP_TOKENS, progress=False)
    name = f"sweep of {len(GRID)}x{len(GRID)} settings, {SWEEP_PROMPTS} prompts, {SWEEP_TOKENS} tokens / loop"
    yield name, lambda: answers.append(swept()), lambda: answers.append(_loop(lm, thin, prompts, settings)), 1


def paired(name: str, ours: Work, reference: Work, rounds: int) -> Ratio:
    """Seconds of both in turn, after one run of each that isn't counted where there are several rounds."""
    if rounds > 1:
        ours()
        reference()
    seconds: dict[Work, list[float]] = {ours: [], reference: []}
    for number in range(rounds):
        for work in (ours, reference) if number % 2 else (reference, ours):
            start = time.perf_counter()
            work()
            seconds[work].append(time.perf_counter() - start)
    ratios = [theirs / own for theirs, own in zip(seconds[reference], seconds[ours], strict=True)]
    medians = [statistics.median(seconds[work]) for work in (ours, reference)]
    return Ratio(name, statistics.median(ratios), min(ratios), max(ratios), *medians)


@torch.inference_mode()
def _forward_passes(lm: LanguageModel, rows: Sequence[list[int]]) -> None:
    """What extraction can't do without: the decoder over batches of like length, the shared prefix once, no head."""
    prefix = shared_prefix(lm, rows, min(map(len, rows)) - 1)
    for places in like_lengths([len(row) for row in rows], TOKENS_PER_BATCH):
        ids, mask = pad([rows[place] for place in places], lm.padding_id, lm.input_device)
        decoder = lm.model.get_decoder()  # type: ignore[no-untyped-call]
        decoder(input_ids=ids[:, prefix.length :], attention_mask=mask, **prefix.cache_arguments(len(ids)))


def _steered(lm: LanguageModel, sliders: Sliders, work: Work) -> None:
    with sliders.attach(lm) as dial:
        dial.set(first=1.0, second=-0.5)
        work()


@torch.inference_mode()
def _decode(model: Any, ids: Tensor, tokens: int) -> None:
    """Write so many tokens, greedily, with a static cache."""
    cache = StaticCache(config=model.config, max_cache_len=ids.shape[1] + tokens)
    for _ in range(tokens):
        ids = model(input_ids=ids, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)


def _loop(
    lm: LanguageModel, sliders: Sliders, prompts: Sequence[ChatLike], settings: Sequence[Mapping[str, float]]
) -> list[list[str]]:
    """What `sweep` gives, an answer a call."""
    answers: list[list[str]] = [[] for _ in prompts]
    with sliders.attach(lm) as dial:
        for row, prompt in zip(answers, prompts, strict=True):
            for setting in settings:
                dial.set(**setting)
                row.append(lm.chat(prompt, SWEEP_TOKENS))
    return answers


def _start_up() -> float:
    start = time.perf_counter()
    code = "import steering; steering.load, steering.extract, steering.Sliders"
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def peak_mb(work: Work) -> float | None:
    """By how many megabytes the work's highest memory is above what was taken before it."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    if not Path("/proc/self/clear_refs").exists():
        return None
    Path("/proc/self/clear_refs").write_text("5")  # begin the highest anew
    before = kilobytes("VmRSS")
    work()
    return (kilobytes("VmHWM") - before) / 1e3


def kilobytes(name: str, process: int | str = "self") -> int:
    """What Linux says of a process' memory: `VmRSS` is what it takes now, `VmHWM` the highest."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def machine() -> str:
    """The processor that computes."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.*)", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.is_file() else []
    return f"{len(names) or os.cpu_count()} x {names[0] if names else platform.machine()}"
