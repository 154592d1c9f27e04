"""Which benchmarks belong together, and those of them that can be had, from a folder of local copies or the Hub."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from probes.benchmarks import LoadedBenchmark, builtin_benchmark, reflective_benchmark
from probes.implicit_reference import implicit_reference_benchmark
from probes.prefill import prefilled_by_model
from probes.published_sets import ATTACKS, BENCHMARKS, load_benchmark
from probes.system_prompts import system_prompt_benchmark
from steering.errors import SteeringError
from steering.models.language_model import LanguageModel

Suite: TypeAlias = Literal["standard", "robustness", "full"]
BUILTIN = {
    "built-in": builtin_benchmark,
    "reflective-judgment": reflective_benchmark,
    "implicit-reference": implicit_reference_benchmark,
    "system-prompts": system_prompt_benchmark,
}
"""Benchmarks that come with the package, by name."""
_STANDARD = ("xstest", "or-bench-hard", "harmbench", "alpaca-eval", "reflective-judgment")
_TURNS = ("implicit-reference", "mhj", "cosafe", "fractured-sorry-bench")
_ROBUSTNESS = ("xstest", "harmbench", *map(str.lower, ATTACKS), "jailbreakbench-artifacts", *_TURNS)
_BESIDES = ("jailbreakbench", "strongreject", "sorry-bench", "or-bench-toxic", "gsm8k", "mmlu")
SUITES: dict[Suite, tuple[str, ...]] = {
    "standard": _STANDARD,
    "robustness": _ROBUSTNESS,
    "full": tuple(dict.fromkeys((*_STANDARD, *_ROBUSTNESS, *_BESIDES))),
}
"""Benchmarks by suite. Robustness has harmful prompts and look-alikes too, beside which attacks stand in the matrix."""
PREFILLED: dict[Suite, tuple[int, ...]] = {"standard": (), "robustness": (5,), "full": (5,)}
"""Lengths, in tokens, of the openings of complying answers behind which a suite's harmful prompts are answered too."""


def load_suite(
    suite: Suite, folder: str | Path | None = None, count: int = 24, besides: Collection[str] = ()
) -> tuple[list[LoadedBenchmark], list[str]]:
    """What can be had of a suite.

    Args:
        suite: its name.
        folder: holds a file or folder for each benchmark, under its name: `xstest.csv`, `harmbench/`. Without it the
            Hub is asked.
        count: prompts of a kind, and of an attack, at most.
        besides: names of benchmarks that are there already.

    Returns:
        The benchmarks, and for each that is missing a sentence that says why and where to get it.

    Raises:
        SteeringError: where a local copy is none of its benchmark.
    """
    found, missing = [], []
    for name in SUITES[suite]:
        if name in besides:
            continue
        if name in BUILTIN:
            found.append(BUILTIN[name](count))
        elif folder is None:
            try:
                found.append(load_benchmark(name).spread(count))
            except SteeringError as error:  # no network, no `datasets`, terms not accepted, or no home on the Hub
                missing.append(f"{name} is not measured: {error}")
        elif (copy := _local_copy(name, Path(folder))) is None:
            missing.append(
                f"{name} is not measured: {str(folder)!r} holds no {name}.csv, .json, .jsonl or .parquet and no folder "
                f"{name}; get it from {BENCHMARKS[name].home}."
            )
        else:
            found.append(load_benchmark(name, copy).spread(count))
    return found, missing


def prefilled_suite(
    lm: LanguageModel, suite: Suite, benchmarks: Sequence[LoadedBenchmark]
) -> tuple[list[LoadedBenchmark], list[str]]:
    """A suite's harmful prompts once more, behind the first tokens of the model's own complying answers (`PREFILLED`).

    Args:
        lm: the model, with no slider attached.
        suite: its name.
        benchmarks: those of the suite; the ones without harmful prompts are left out.

    Returns:
        The benchmarks, and for each to which the model begins no complying answer a sentence that says so.
    """
    found, missing = [], []
    lengths = PREFILLED[suite]
    for benchmark in benchmarks:
        if lengths and benchmark.of_kind("harmful"):
            try:
                found += prefilled_by_model(lm, benchmark, lengths)
            except SteeringError as error:
                missing.append(f"{benchmark.name} behind tokens of answers is not measured: {error}")
    return found, missing


def _local_copy(name: str, folder: Path) -> Path | None:
    """The folder's file or folder of this name. Raises SteeringError where there are several."""
    endings = ("", ".csv", ".json", ".jsonl", ".parquet", ".txt")
    copies = [folder / f"{name}{ending}" for ending in endings if (folder / f"{name}{ending}").exists()]
    if len(copies) > 1:
        names = " and ".join(copy.name for copy in copies)
        raise SteeringError(f"Expected one copy of {name} in {str(folder)!r}, found {names}; keep one.")
    return copies[0] if copies else None
