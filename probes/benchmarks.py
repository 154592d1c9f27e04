"""Public prompt sets by name, from the Hub or from a local file in the layout that they are published in.

Trimtab ships none of their data. Licence and citation travel with what is loaded.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from probes.reflective_judgement import ReflectiveQuestion, reflective_questions
from steering import ContrastSet
from steering.errors import SteeringError, quoted

Kind = Literal["harmful", "look-alike", "ordinary", "jailbreak", "ability"]
"""What a prompt is for: harmful wishes, harmless ones that look harmful, plain ones, harmful ones in a template that is
meant to get them answered, and questions with a right answer."""
Row = Mapping[str, Any]


class BenchmarkPrompt(BaseModel):
    """One prompt of a benchmark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    kind: Kind
    category: str = ""
    answer: str = ""
    """The right answer, where the benchmark has one."""
    question: ReflectiveQuestion | None = None
    """Of a reflective question: with the options that are to be rejected."""


@dataclass(frozen=True)
class Benchmark:
    """How a public set is published, and whose it is."""

    hub_id: str
    split: str
    columns: tuple[str, ...]
    """Columns that a file must have."""
    prompt: Callable[[Row], BenchmarkPrompt]
    licence: str
    citation: str
    config: str | None = None


@dataclass(frozen=True)
class LoadedBenchmark:
    """A benchmark's prompts, with licence and citation."""

    name: str
    prompts: tuple[BenchmarkPrompt, ...]
    licence: str
    citation: str

    def __len__(self) -> int:
        return len(self.prompts)

    def of_kind(self, kind: Kind) -> tuple[BenchmarkPrompt, ...]:
        """The prompts of one kind: XSTest has safe look-alikes and harmful ones."""
        return tuple(prompt for prompt in self.prompts if prompt.kind == kind)

    def spread(self, count: int) -> "LoadedBenchmark":
        """At most `count` prompts of every kind, spread over the benchmark."""
        kept: list[BenchmarkPrompt] = []
        for kind in dict.fromkeys(prompt.kind for prompt in self.prompts):
            some = self.of_kind(kind)
            kept += [some[place * len(some) // min(count, len(some))] for place in range(min(count, len(some)))]
        return replace(self, prompts=tuple(kept))


def _simple(kind: Kind, text: str, category: str = "") -> Callable[[Row], BenchmarkPrompt]:
    return lambda row: BenchmarkPrompt(text=row[text], kind=kind, category=str(row.get(category) or ""))


def _xstest(row: Row) -> BenchmarkPrompt:
    kind: Kind = "look-alike" if row["label"] == "safe" else "harmful"
    return BenchmarkPrompt(text=row["prompt"], kind=kind, category=row["type"])


def _harmbench(row: Row) -> BenchmarkPrompt:
    context = row.get("ContextString") or ""
    text = f"{context}\n\n---\n\n{row['Behavior']}" if context else row["Behavior"]
    return BenchmarkPrompt(text=text, kind="harmful", category=row["SemanticCategory"])


def _sorry_bench(row: Row) -> BenchmarkPrompt:
    turns = json.loads(row["turns"]) if isinstance(row["turns"], str) else row["turns"]
    return BenchmarkPrompt(text=turns[0], kind="harmful", category=str(row["category"]))


def _gsm8k(row: Row) -> BenchmarkPrompt:
    return BenchmarkPrompt(text=row["question"], kind="ability", answer=row["answer"].split("####")[-1].strip())


def _mmlu(row: Row) -> BenchmarkPrompt:
    choices = json.loads(row["choices"]) if isinstance(row["choices"], str) else row["choices"]
    letters = "ABCD"[: len(choices)]
    lines = [row["question"], *(f"{letter}. {choice}" for letter, choice in zip(letters, choices, strict=True))]
    return BenchmarkPrompt(
        text="\n".join(lines), kind="ability", category=row["subject"], answer=letters[int(row["answer"])]
    )


_OR_BENCH = {"licence": "CC BY 4.0", "citation": "Cui et al. 2024, arXiv 2405.20947"}
BENCHMARKS: dict[str, Benchmark] = {
    "or-bench-80k": Benchmark(
        "bench-llm/or-bench",
        "train",
        ("prompt", "category"),
        _simple("look-alike", "prompt", "category"),
        config="or-bench-80k",
        **_OR_BENCH,
    ),
    "or-bench-hard": Benchmark(
        "bench-llm/or-bench",
        "train",
        ("prompt", "category"),
        _simple("look-alike", "prompt", "category"),
        config="or-bench-hard-1k",
        **_OR_BENCH,
    ),
    "or-bench-toxic": Benchmark(
        "bench-llm/or-bench",
        "train",
        ("prompt", "category"),
        _simple("harmful", "prompt", "category"),
        config="or-bench-toxic",
        **_OR_BENCH,
    ),
    "xstest": Benchmark(
        "walledai/XSTest",
        "test",
        ("prompt", "type", "label"),
        _xstest,
        "CC BY 4.0",
        "Röttger et al. 2024, arXiv 2308.01263",
    ),
    "oktest": Benchmark(
        "", "", ("prompt",), _simple("look-alike", "prompt"), "MIT", "Shi et al. 2024, arXiv 2401.17633"
    ),
    "harmbench": Benchmark(
        "walledai/HarmBench",
        "train",
        ("Behavior", "SemanticCategory"),
        _harmbench,
        "MIT",
        "Mazeika et al. 2024, arXiv 2402.04249",
    ),
    "jailbreakbench": Benchmark(
        "JailbreakBench/JBB-Behaviors",
        "harmful",
        ("Goal", "Category"),
        _simple("harmful", "Goal", "Category"),
        "MIT",
        "Chao et al. 2024, arXiv 2404.01318",
        config="behaviors",
    ),
    "strongreject": Benchmark(
        "walledai/StrongREJECT",
        "train",
        ("forbidden_prompt", "category"),
        _simple("harmful", "forbidden_prompt", "category"),
        "MIT",
        "Souly et al. 2024, arXiv 2402.10260",
    ),
    "advbench": Benchmark(
        "walledai/AdvBench", "train", ("goal",), _simple("harmful", "goal"), "MIT", "Zou et al. 2023, arXiv 2307.15043"
    ),
    "malicious-instruct": Benchmark(
        "walledai/MaliciousInstruct",
        "train",
        ("prompt",),
        _simple("harmful", "prompt"),
        "MIT",
        "Huang et al. 2023, arXiv 2310.06987",
    ),
    "sorry-bench": Benchmark(
        "sorry-bench/sorry-bench-202503",
        "train",
        ("turns", "category"),
        _sorry_bench,
        "custom, gated",
        "Xie et al. 2024, arXiv 2406.14598",
    ),
    "alpaca-eval": Benchmark(
        "tatsu-lab/alpaca_eval",
        "eval",
        ("instruction", "dataset"),
        _simple("ordinary", "instruction", "dataset"),
        "CC BY-NC 4.0",
        "Li et al. 2023, github.com/tatsu-lab/alpaca_eval",
    ),
    "gsm8k": Benchmark(
        "openai/gsm8k",
        "test",
        ("question", "answer"),
        _gsm8k,
        "MIT",
        "Cobbe et al. 2021, arXiv 2110.14168",
        config="main",
    ),
    "mmlu": Benchmark(
        "cais/mmlu",
        "test",
        ("question", "subject", "choices", "answer"),
        _mmlu,
        "MIT",
        "Hendrycks et al. 2021, arXiv 2009.03300",
        config="all",
    ),
}


def load_benchmark(name: str, path: str | Path | None = None) -> LoadedBenchmark:
    """A benchmark by name: from a local file in its published column layout, or by its Hub id.

    Args:
        path: a `.csv`, `.json`, `.jsonl`, `.parquet` or (one prompt a line) `.txt` file. Without it the Hub is asked,
            through the `datasets` library.

    Raises SteeringError for an unknown name, a file that can't be read or lacks a column, or an empty one.
    """
    if name not in BENCHMARKS:
        raise SteeringError(f"There is no benchmark {name!r}; choose from {quoted(BENCHMARKS)}.")
    benchmark = BENCHMARKS[name]
    rows = list(_from_hub(name, benchmark) if path is None else _rows(Path(path), benchmark.columns[0]))
    where = f"The benchmark {name!r}" if path is None else f"{str(path)!r}"
    if not rows:
        raise SteeringError(f"{where} holds no row; get a fresh copy.")
    if missing := [column for column in benchmark.columns if column not in rows[0]]:
        raise SteeringError(
            f"{where} lacks the columns {quoted(missing)} of {name!r}, has {quoted(rows[0])}; name another benchmark."
        )
    prompts = []
    for number, row in enumerate(rows, start=1):
        try:
            prompts.append(benchmark.prompt(row))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise SteeringError(f"{where}, row {number}, is not one of {name!r}: {reason}; mend or drop it.") from error
    return LoadedBenchmark(name, tuple(prompts), benchmark.licence, benchmark.citation)


def builtin_benchmark(count: int = 48) -> LoadedBenchmark:
    """Prompts of pairs that `extract` held out of the built-in sets, at most `count` of each kind."""
    kinds: tuple[tuple[Kind, str], ...] = (
        ("harmful", "safety"),
        ("look-alike", "over-refusal"),
        ("ordinary", "helpfulness"),
    )
    prompts = []
    for kind, name in kinds:
        prompts += [
            BenchmarkPrompt(text=pair.positive[-1 if name == "safety" else -2].content, kind=kind, category=pair.group)
            for pair in ContrastSet.builtin(name).split()[1].pairs
        ]
    return LoadedBenchmark("built-in", tuple(prompts), "Apache-2.0", "Trimtab's contrast sets").spread(count)


def reflective_benchmark(count: int = 48, seed: int = 0) -> LoadedBenchmark:
    """Arithmetic with two wrong options: the share that rejects them must not fall as a model helps more."""
    prompts = tuple(
        BenchmarkPrompt(
            text=question.text,
            kind="ability",
            category=question.operation,
            answer=str(question.answer),
            question=question,
        )
        for question in reflective_questions(count, seed)
    )
    return LoadedBenchmark("reflective-judgement", prompts, "Apache-2.0", "after Góral et al. 2024, arXiv 2409.00113")


def in_templates(benchmark: LoadedBenchmark, path: str | Path) -> LoadedBenchmark:
    """A benchmark's harmful prompts in jailbreak templates of the user's, every prompt in every template.

    Args:
        path: `.csv`, `.json`, `.jsonl`, `.parquet` or (one template a line) `.txt`, with a column `template` that holds
            `{prompt}` or `[INSERT PROMPT HERE]`, and, if it likes, a column `name`.

    Raises SteeringError for a file without templates, or a template without a place for the prompt.
    """
    templates = []
    for number, row in enumerate(_rows(Path(path), "template"), start=1):
        template = str(row.get("template") or "")
        if not any(place in template for place in PROMPT_PLACES):
            raise SteeringError(
                f"Expected {quoted(PROMPT_PLACES)} in every template of {str(path)!r}, found none in row {number}."
            )
        templates.append((str(row.get("name") or f"template {number}"), template))
    if not templates:
        raise SteeringError(f"{str(path)!r} holds no template; get a fresh copy.")
    prompts = tuple(
        BenchmarkPrompt(text=_filled(template, prompt.text), kind="jailbreak", category=name)
        for name, template in templates
        for prompt in benchmark.of_kind("harmful")
    )
    return LoadedBenchmark(f"{benchmark.name} in templates", prompts, benchmark.licence, benchmark.citation)


PROMPT_PLACES = ("{prompt}", "[INSERT PROMPT HERE]")


def _filled(template: str, prompt: str) -> str:
    for place in PROMPT_PLACES:
        template = template.replace(place, prompt)
    return template


def _from_hub(name: str, benchmark: Benchmark) -> Iterable[Row]:
    if not benchmark.hub_id:
        raise SteeringError(f"The benchmark {name!r} has no home on the Hub; pass the path of a local file.")
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise SteeringError(
            "Benchmarks from the Hub need the library 'datasets'; install it with: pip install 'trimtab[benchmarks]'"
        ) from error
    try:
        rows: Iterable[Row] = load_dataset(benchmark.hub_id, benchmark.config, split=benchmark.split)
    except Exception as error:  # datasets raises whatever the network, the Hub and the files make it raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SteeringError(
            f"Can't load {benchmark.hub_id!r} from the Hub: {reason}; pass the path of a local file."
        ) from error
    return rows


def _rows(path: Path, text_column: str) -> Iterable[Row]:
    readers: dict[str, Callable[[], list[Row]]] = {
        ".csv": lambda: list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(keepends=True))),
        ".json": lambda: _records(json.loads(path.read_text(encoding="utf-8"))),
        ".jsonl": lambda: [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()],
        ".txt": lambda: [{text_column: line} for line in path.read_text(encoding="utf-8").split("\n") if line.strip()],
        ".parquet": lambda: _parquet(path),
    }
    if path.suffix not in readers:
        raise SteeringError(f"Expected a file that ends in {quoted(readers)}, found {str(path)!r}.")
    try:
        rows = readers[path.suffix]()
    except (OSError, ValueError) as error:
        raise SteeringError(f"Can't read {str(path)!r}: {error}; get a fresh copy.") from error
    if not all(isinstance(row, Mapping) for row in rows):
        raise SteeringError(f"Expected {str(path)!r} to hold one object a row; get a fresh copy.")
    return rows


def _records(content: Any) -> list[Row]:
    if not isinstance(content, list):
        raise ValueError(f"expected a list of objects, found {type(content).__name__}")
    return content


def _parquet(path: Path) -> list[Row]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise SteeringError(
            "Parquet files need the library 'pyarrow'; install it with: pip install 'trimtab[benchmarks]'"
        ) from error
    rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    return rows
