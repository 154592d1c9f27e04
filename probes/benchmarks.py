"""Public prompt sets by name, from the Hub or from a local file in the layout that they are published in.

Trimtab ships none of their data. License and citation travel with what is loaded.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from probes.prompt_files import Row, read_rows, rows_from_hub
from probes.reflective_judgment import ReflectiveQuestion, reflective_questions
from steering import ContrastSet
from steering.errors import SteeringError, first_line, quoted

Kind: TypeAlias = Literal["harmful", "look-alike", "ordinary", "jailbreak", "ability"]
"""What a prompt is for: harmful wishes, harmless ones that look harmful (pseudo-harmful), plain ones, harmful ones in a
template that is meant to get them answered, and questions with a right answer."""


class BenchmarkPrompt(BaseModel, frozen=True, extra="forbid"):
    """One prompt of a benchmark."""

    text: str
    kind: Kind
    category: str = ""
    answer: str = ""
    """The right answer, where the benchmark has one."""
    question: ReflectiveQuestion | None = None
    """The reflective question, with the options that are to be rejected, where the prompt is one."""


@dataclass(frozen=True)
class LoadedBenchmark:
    """A benchmark's prompts, with license and citation."""

    name: str
    prompts: tuple[BenchmarkPrompt, ...]
    license: str
    citation: str

    def __len__(self) -> int:
        return len(self.prompts)

    def of_kind(self, kind: Kind) -> tuple[BenchmarkPrompt, ...]:
        """The prompts of one kind: XSTest has safe look-alikes and harmful ones.

        Args:
            kind: what the prompts are for.
        """
        return tuple(prompt for prompt in self.prompts if prompt.kind == kind)

    def spread(self, count: int) -> "LoadedBenchmark":
        """At most `count` prompts of every kind, spread over the benchmark.

        Args:
            count: prompts of each kind at most.
        """
        kept: list[BenchmarkPrompt] = []
        for kind in dict.fromkeys(prompt.kind for prompt in self.prompts):
            some = self.of_kind(kind)
            kept += [some[place * len(some) // min(count, len(some))] for place in range(min(count, len(some)))]
        return replace(self, prompts=tuple(kept))


@dataclass(frozen=True)
class Benchmark:
    """How a public set is published, and whose it is."""

    hub_id: str
    split: str
    license: str
    citation: str
    text: str
    """Column of the prompt."""
    category: str | None = None
    """Column of its category."""
    kind: Kind = "harmful"
    config: str | None = None
    fields: Callable[[Row], dict[str, Any]] = lambda row: {}
    """Fields of the prompt that are no column as it stands."""

    def prompt(self, row: Row) -> BenchmarkPrompt:
        """A row as a prompt."""
        category = str(row[self.category] or "") if self.category else ""
        plain = {"text": row[self.text], "kind": self.kind, "category": category}
        return BenchmarkPrompt.model_validate(plain | self.fields(row))


def _listed(cell: Any) -> Any:
    """A list, which a CSV file holds as JSON."""
    return json.loads(cell) if isinstance(cell, str) else cell


def _harmbench(row: Row) -> dict[str, Any]:
    context = row.get("ContextString")
    return {"text": f"{context}\n\n---\n\n{row['Behavior']}"} if context else {}


def _mmlu(row: Row) -> dict[str, Any]:
    choices = _listed(row["choices"])
    options = [f"{letter}. {choice}" for letter, choice in zip("ABCD"[: len(choices)], choices, strict=True)]
    return {"text": "\n".join([row["question"], *options]), "answer": options[int(row["answer"])][0]}


def _or_bench(config: str, kind: Kind) -> Benchmark:
    citation = "Cui et al. 2024, arXiv 2405.20947"
    return Benchmark("bench-llm/or-bench", "train", "CC BY 4.0", citation, "prompt", "category", kind, config)


# fmt: off
BENCHMARKS: dict[str, Benchmark] = {
    "or-bench-80k": _or_bench("or-bench-80k", "look-alike"),
    "or-bench-hard": _or_bench("or-bench-hard-1k", "look-alike"),
    "or-bench-toxic": _or_bench("or-bench-toxic", "harmful"),
    "xstest": Benchmark(
        "walledai/XSTest", "test", "CC BY 4.0", "Röttger et al. 2024, arXiv 2308.01263", "prompt", "type",
        fields=lambda row: {"kind": "look-alike" if row["label"] == "safe" else "harmful"}),
    "oktest": Benchmark("", "", "MIT", "Shi et al. 2024, arXiv 2401.17633", "prompt", kind="look-alike"),
    "harmbench": Benchmark(
        "walledai/HarmBench", "train", "MIT", "Mazeika et al. 2024, arXiv 2402.04249", "Behavior", "SemanticCategory",
        fields=_harmbench),
    "jailbreakbench": Benchmark(
        "JailbreakBench/JBB-Behaviors", "harmful", "MIT", "Chao et al. 2024, arXiv 2404.01318", "Goal", "Category",
        config="behaviors"),
    "strongreject": Benchmark(
        "walledai/StrongREJECT", "train", "MIT", "Souly et al. 2024, arXiv 2402.10260", "forbidden_prompt", "category"),
    "advbench": Benchmark("walledai/AdvBench", "train", "MIT", "Zou et al. 2023, arXiv 2307.15043", "goal"),
    "malicious-instruct": Benchmark(
        "walledai/MaliciousInstruct", "train", "MIT", "Huang et al. 2023, arXiv 2310.06987", "prompt"),
    "sorry-bench": Benchmark(
        "sorry-bench/sorry-bench-202503", "train", "custom, gated", "Xie et al. 2024, arXiv 2406.14598", "turns",
        "category", fields=lambda row: {"text": _listed(row["turns"])[0]}),
    "alpaca-eval": Benchmark(
        "tatsu-lab/alpaca_eval", "eval", "CC BY-NC 4.0", "Li et al. 2023, github.com/tatsu-lab/alpaca_eval",
        "instruction", "dataset", kind="ordinary"),
    "gsm8k": Benchmark(
        "openai/gsm8k", "test", "MIT", "Cobbe et al. 2021, arXiv 2110.14168", "question", kind="ability", config="main",
        fields=lambda row: {"answer": row["answer"].split("####")[-1].strip()}),
    "mmlu": Benchmark(
        "cais/mmlu", "test", "MIT", "Hendrycks et al. 2021, arXiv 2009.03300", "question", "subject", kind="ability",
        config="all", fields=_mmlu),
}
# fmt: on
"""The published sets by name."""


def load_benchmark(name: str, path: str | Path | None = None) -> LoadedBenchmark:
    """Load a public benchmark: from a local file in its published column layout, or from the Hub.

    Args:
        name: one of `BENCHMARKS`.
        path: a `.csv`, `.json`, `.jsonl`, `.parquet` or (one prompt a line) `.txt` file. Without it the Hub is asked,
            through the `datasets` library.

    Returns:
        All of its prompts in their order; `spread` takes some of them.

    Raises:
        SteeringError: for an unknown name, a file that can't be read or lacks a column, or an empty one.

    Example:
        >>> xstest = load_benchmark("xstest", "xstest_prompts.csv")  # doctest: +SKIP
        >>> len(xstest.of_kind("look-alike"))  # doctest: +SKIP
        250
    """
    if name not in BENCHMARKS:
        raise SteeringError(f"There is no benchmark {name!r}; choose from {quoted(BENCHMARKS)}.")
    benchmark, prompts = BENCHMARKS[name], []
    if path is None and benchmark.hub_id:
        where, rows = f"The benchmark {name!r}", rows_from_hub(benchmark.hub_id, benchmark.config, benchmark.split)
    elif path is not None:
        where, rows = repr(str(path)), read_rows(path, benchmark.text)
    else:
        raise SteeringError(f"The benchmark {name!r} has no home on the Hub; pass the path of a local file.")
    for number, row in enumerate(rows, start=1):
        try:
            prompts.append(benchmark.prompt(row))
        except KeyError as error:
            lacks = f"lacks the column {error} of {name!r}, has {quoted(row)}; name another benchmark"
            raise SteeringError(f"{where}, row {number}, {lacks}.") from error
        except (IndexError, TypeError, ValueError) as error:
            reason = first_line(error)
            raise SteeringError(f"{where}, row {number}, is not one of {name!r}: {reason}; mend or drop it.") from error
    if not prompts:
        raise SteeringError(f"{where} holds no row; get a fresh copy.")
    return LoadedBenchmark(name, tuple(prompts), benchmark.license, benchmark.citation)


def builtin_benchmark(count: int = 48) -> LoadedBenchmark:
    """Prompts that come with the package: those of the pairs of the built-in sets that `extract` held out.

    Args:
        count: how many of each kind (harmful, look-alike, ordinary) at most.

    Returns:
        The prompts, kind by kind.

    Example:
        >>> len(builtin_benchmark(8))
        24
    """
    sets: dict[str, Kind] = {"safety": "harmful", "over-refusal": "look-alike", "helpfulness": "ordinary"}
    prompts = []
    for name, kind in sets.items():
        for pair in ContrastSet.builtin(name).split()[1]:
            prompt = [message for message in pair.positive if message.role == "user"][-1]  # an answer may follow
            prompts.append(BenchmarkPrompt(text=prompt.content, kind=kind, category=pair.group))
    return LoadedBenchmark("built-in", tuple(prompts), "Apache-2.0", "Trimtab's contrast sets").spread(count)


def labelled_harm(benchmarks: Iterable[LoadedBenchmark]) -> Callable[[Sequence[str]], list[float]]:
    """A guard that never errs: the labels of these benchmarks' prompts.

    Args:
        benchmarks: whose prompts may be asked for.

    Returns:
        What `evaluate(harm=…)` takes: prompts in; 1 for each that is harmful, also in a jailbreak's template, else 0.

    Example:
        >>> benchmark = builtin_benchmark(1)
        >>> labelled_harm([benchmark])([prompt.text for prompt in benchmark.prompts])
        [1.0, 0.0, 0.0]
    """
    kinds = {prompt.text: prompt.kind for benchmark in benchmarks for prompt in benchmark.prompts}
    return lambda prompts: [float(kinds[prompt] in ("harmful", "jailbreak")) for prompt in prompts]


def reflective_benchmark(count: int = 48) -> LoadedBenchmark:
    """Arithmetic with two wrong options: the share that rejects them must not fall as a model helps more.

    Args:
        count: number of questions.

    Returns:
        Prompts of the kind `ability` (after Góral et al. 2024, arXiv 2409.00113).
    """
    prompts = tuple(
        BenchmarkPrompt(text=q.text, kind="ability", category=q.operation, answer=str(q.answer), question=q)
        for q in reflective_questions(count)
    )
    return LoadedBenchmark("reflective-judgment", prompts, "Apache-2.0", "after Góral et al. 2024, arXiv 2409.00113")


PROMPT_PLACES = ("{prompt}", "[INSERT PROMPT HERE]")
"""Where a jailbreak template takes the prompt."""


def in_templates(benchmark: LoadedBenchmark, path: str | Path) -> LoadedBenchmark:
    """A benchmark's harmful prompts in jailbreak templates of the user's, every prompt in every template.

    Args:
        benchmark: its prompts of other kinds are left out.
        path: a `.csv`, `.json`, `.jsonl`, `.parquet` or (one template a line) `.txt` file, with a column `template`
            that holds `{prompt}` or `[INSERT PROMPT HERE]`, and optionally a column `name`.

    Returns:
        Prompts of the kind `jailbreak`, each with its template's name as category.

    Raises:
        SteeringError: for a file without templates, or a template without a place for the prompt.
    """
    rows, prompts = read_rows(path, "template"), []
    for number, row in enumerate(rows, start=1):
        template = str(row.get("template") or "")
        if not any(place in template for place in PROMPT_PLACES):
            places = quoted(PROMPT_PLACES)
            raise SteeringError(f"Expected {places} in every template of {str(path)!r}, found none in row {number}.")
        name = str(row.get("name") or f"template {number}")
        for prompt in benchmark.of_kind("harmful"):
            text = template.replace(PROMPT_PLACES[0], prompt.text).replace(PROMPT_PLACES[1], prompt.text)
            prompts.append(BenchmarkPrompt(text=text, kind="jailbreak", category=name))
    if not rows:
        raise SteeringError(f"{str(path)!r} holds no template; get a fresh copy.")
    return LoadedBenchmark(f"{benchmark.name} in templates", tuple(prompts), benchmark.license, benchmark.citation)
