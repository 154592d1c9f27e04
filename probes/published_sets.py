"""Public prompt sets by name: from the Hub, or from a copy in the layout of the Hub or of the authors' own files.

Trimtab ships none of their data. License and citation travel with what is loaded.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probes.benchmarks import BenchmarkPrompt, Kind, LoadedBenchmark
from probes.conversations import messages, numbered_messages, user_turns
from probes.judges.text import shortened
from probes.prompt_files import file_from_hub, read_artifacts, read_rows, rows_from_folder, rows_from_hub
from probes.rows import MissingColumnError, Row, cell, label, other_trait, place, reason, text, texts
from steering.errors import SteeringError, quoted


@dataclass(frozen=True)
class Variants:
    """The variants that a set's rows are of, where not all of them are plain prompts: styles, ciphers, translations."""

    plain: str
    """Taken unless another is named: `sorry-bench` is `sorry-bench:base`."""
    of: Callable[[Row], str]
    """Which a row is of."""
    are_configs: bool = False
    """Whether the Hub holds each as a config of its own."""


@dataclass(frozen=True)
class Benchmark:
    """How a public set is published, and whose it is."""

    hub_id: str
    split: str
    license: str
    citation: str
    text: tuple[str, ...]
    """Columns of the prompt, as the layouts of the set call it."""
    category: tuple[str, ...] = ()
    """Columns of its category, likewise; layouts may do without."""
    kind: Kind = "harmful"
    config: str | None = None
    attack: str = ""
    """What all its jailbreaks count to, where categories are topics or tactics."""
    file: str | None = None
    """The file to read, where the Hub's repository is no data set that `datasets` could load."""
    category_files: bool = False
    """Whether a folder holds a `.json` file for each category, under its name."""
    fields: Callable[[Row], dict[str, Any]] = lambda row: {}
    """Fields of the prompt that are no column as it stands."""
    read: Callable[[Path], list[Row]] | None = None
    """Reads local copies, where they are neither a list of rows nor a copy of the Hub's repository."""
    source: str = ""
    """Where copies are, for a set without a home on the Hub."""
    variants: Variants | None = None
    reads: tuple[str, ...] = ()
    """Traits of `other_trait` that `fields` and `variants` account for."""

    @property
    def home(self) -> str:
        """Where copies are to be got."""
        return f"huggingface.co/datasets/{self.hub_id}" if self.hub_id else self.source

    def prompt(self, row: Row) -> BenchmarkPrompt:
        """A row as a prompt."""
        plain = {
            "text": cell(row, *self.text),
            "kind": self.kind,
            "category": label(row, *self.category),
            "attack": self.attack,
        }
        prompt = BenchmarkPrompt.model_validate(plain | self.fields(row))
        if not prompt.text.strip():
            raise ValueError("its prompt is empty")
        return prompt

    def rows(self, path: Path | None, variant: str) -> list[Row]:
        """All rows of a file or a folder, or of the Hub."""
        if self.category_files and path is not None:
            files = sorted(path.glob("*.json")) if path.is_dir() else [path]
            return [{"category": file.stem, **row} for file in files for row in read_rows(file, self.text[0])]
        if self.read is not None and path is not None:
            return self.read(path)
        config = variant if self.variants and self.variants.are_configs else self.config
        if self.file and (path is None or path.is_dir()):
            return read_rows(file_from_hub(self.hub_id, self.file) if path is None else path / self.file, self.text[0])
        if path is None:
            return rows_from_hub(self.hub_id, config, self.split)
        return rows_from_folder(path, config, self.split) if path.is_dir() else read_rows(path, self.text[0])


def _xstest(row: Row) -> dict[str, Any]:
    safety = cell(row, "label", remedy="add it: 'unsafe' where the type begins with 'contrast_', else 'safe'")
    kinds: dict[str, Kind] = {"safe": "look-alike", "unsafe": "harmful"}
    if safety not in tuple(kinds):
        raise ValueError(f"expected the label 'safe' or 'unsafe', found {safety!r}")
    return {"kind": kinds[safety]}


def _with_context(row: Row) -> dict[str, Any]:
    name = next((name for name in ("ContextString", "context") if row.get(name)), None)
    return {"text": f"{text(row, name)}\n\n---\n\n{text(row, *_HARMBENCH_TEXT)}"} if name else {}


def _functional_category(row: Row) -> str:
    """Standard, contextual or copyright: a column of the authors' files, and on the Hub a config with own columns."""
    if "FunctionalCategory" in row:
        return text(row, "FunctionalCategory")
    return "contextual" if "context" in row else "copyright" if "tags" in row else "standard"


def _mmlu(row: Row) -> dict[str, Any]:
    choices = texts(row, "choices")
    if len(choices) != 4:
        raise ValueError(f"expected four choices, found {len(choices)}")
    options = [f"{letter}. {choice}" for letter, choice in zip("ABCD", choices, strict=True)]
    return {"text": "\n".join([text(row, "question"), *options]), "answer": "ABCD"[place(row, "answer", 4)]}


def _gsm8k(row: Row) -> dict[str, Any]:
    _, mark, answer = text(row, "answer").rpartition("####")
    if not mark:
        raise ValueError("its answer has no '####' before the result")
    return {"answer": answer.strip()}


def _or_bench(config: str, kind: Kind) -> Benchmark:
    citation = "Cui et al. 2024, arXiv 2405.20947"
    return Benchmark("bench-llm/or-bench", "train", "CC BY 4.0", citation, ("prompt",), ("category",), kind, config)


def _attack(name: str) -> Benchmark:
    """Prompts in one attack's templates: AlphaSteer's `query`; AdaSteer's `input`, whose `query` is the bare prompt."""
    return Benchmark(
        "",
        "",
        "none stated",
        "Zhao et al. 2025, arXiv 2504.09466 (AdaSteer); Sheng et al. 2025, arXiv 2506.07022 (AlphaSteer)",
        ("input", "query"),
        kind="jailbreak",
        source="data/inputs of github.com/MuyuenLP/AdaSteer or data/instructions/test of AlphaSteer's repository",
        fields=lambda row: {"category": name},
    )


_HARMBENCH_TEXT = ("prompt", "Behavior")
ATTACKS = ("AIM", "AutoDAN", "Cipher", "GCG", "Jailbroken", "PAIR", "ReNeLLM")
"""As AdaSteer and AlphaSteer ship them, a file an attack and model."""
# fmt: off
BENCHMARKS: dict[str, Benchmark] = {
    "or-bench-80k": _or_bench("or-bench-80k", "look-alike"),
    "or-bench-hard": _or_bench("or-bench-hard-1k", "look-alike"),
    "or-bench-toxic": _or_bench("or-bench-toxic", "harmful"),
    "xstest": Benchmark(
        "walledai/XSTest", "test", "CC BY 4.0", "Röttger et al. 2024, arXiv 2308.01263", ("prompt",), ("type",),
        fields=_xstest),
    "oktest": Benchmark(
        "", "", "MIT", "Shi et al. 2024, arXiv 2401.17633", ("prompt",), kind="look-alike",
        source="the authors' OKTest.csv"),
    "harmbench": Benchmark(
        "walledai/HarmBench", "train", "MIT", "Mazeika et al. 2024, arXiv 2402.04249", _HARMBENCH_TEXT,
        ("category", "SemanticCategory"), fields=_with_context,
        variants=Variants("standard", _functional_category, are_configs=True), reads=("context",)),
    "jailbreakbench": Benchmark(
        "JailbreakBench/JBB-Behaviors", "harmful", "MIT", "Chao et al. 2024, arXiv 2404.01318", ("Goal",),
        ("Category",), config="behaviors"),
    "jailbreakbench-artifacts": Benchmark(
        "", "", "MIT", "Chao et al. 2024, arXiv 2404.01318", ("prompt",), ("method",), kind="jailbreak",
        read=read_artifacts, source="attack-artifacts of github.com/JailbreakBench/artifacts"),
    **{name.lower(): _attack(name) for name in ATTACKS},
    "strongreject": Benchmark(
        "walledai/StrongREJECT", "train", "MIT", "Souly et al. 2024, arXiv 2402.10260",
        ("prompt", "forbidden_prompt"), ("category",)),
    "advbench": Benchmark(
        "walledai/AdvBench", "train", "MIT", "Zou et al. 2023, arXiv 2307.15043", ("prompt", "goal")),
    "malicious-instruct": Benchmark(
        "walledai/MaliciousInstruct", "train", "MIT", "Huang et al. 2023, arXiv 2310.06987", ("prompt",)),
    "sorry-bench": Benchmark(
        "sorry-bench/sorry-bench-202503", "train", "custom, gated", "Xie et al. 2024, arXiv 2406.14598", ("turns",),
        ("category",), fields=lambda row: user_turns(texts(row, "turns")),
        variants=Variants("base", lambda row: text(row, "prompt_style")), reads=("style",)),
    "fractured-sorry-bench": Benchmark(
        "", "", "CC BY-NC 4.0", "Priyanshu and Vijay 2024, arXiv 2408.16163", ("decomposed_steps",), kind="jailbreak",
        attack="FRACTURED-SORRY-Bench", fields=lambda row: user_turns(texts(row, "decomposed_steps"))),
    "mhj": Benchmark(
        "ScaleAI/mhj", "", "CC BY-NC 4.0, gated", "Li et al. 2024, arXiv 2408.15221", ("message_0",), ("tactic",),
        kind="jailbreak", attack="MHJ", file="harmbench_behaviors.csv", fields=numbered_messages),
    "cosafe": Benchmark(
        "", "", "see github.com/ErxinYu/CoSafe-Dataset", "Yu et al. 2024, arXiv 2406.17626", ("messages",),
        ("category",), kind="jailbreak", attack="CoSafe", category_files=True, fields=messages),
    "alpaca-eval": Benchmark(
        "tatsu-lab/alpaca_eval", "", "CC BY-NC 4.0", "Li et al. 2023, github.com/tatsu-lab/alpaca_eval",
        ("instruction",), ("dataset",), kind="ordinary", file="alpaca_eval.json"),
    "gsm8k": Benchmark(
        "openai/gsm8k", "test", "MIT", "Cobbe et al. 2021, arXiv 2110.14168", ("question",), kind="ability",
        config="main", fields=_gsm8k),
    "mmlu": Benchmark(
        "cais/mmlu", "test", "MIT", "Hendrycks et al. 2021, arXiv 2009.03300", ("question",), ("subject",),
        kind="ability", config="all", fields=_mmlu),
}
# fmt: on
"""The published sets by name."""


def load_benchmark(name: str, path: str | Path | None = None) -> LoadedBenchmark:
    """Load a public benchmark: from a local copy in one of its published layouts, or from the Hub.

    Where not all rows of a set are plain prompts, the plain ones are taken, or those of the variant that is named after
    the set: `sorry-bench` is the base prompts, `sorry-bench:slang` those in slang; `harmbench` is its standard
    behaviors, `harmbench:contextual` and `harmbench:copyright` the others.

    Args:
        name: one of `BENCHMARKS`, with `:` and a variant where it has some.
        path: a `.csv`, `.json`, `.jsonl`, `.parquet` or (one prompt a line) `.txt` file, or a folder with a copy of the
            Hub's repository. Without it the Hub is asked, through the `datasets` library.

    Returns:
        The prompts in their order; `spread` takes some of them.

    Raises:
        SteeringError: for an unknown name or variant, a copy that can't be read or lacks a column, an empty one, and
            rows that say of themselves that they are no plain prompts: with images, contexts, in other languages.

    Example:
        >>> xstest = load_benchmark("xstest", "xstest_prompts.csv")  # doctest: +SKIP
        >>> len(xstest.of_kind("look-alike"))  # doctest: +SKIP
        250
    """
    set_name, _, variant = name.partition(":")
    if set_name not in BENCHMARKS:
        raise SteeringError(f"There is no benchmark {set_name!r}; choose from {quoted(BENCHMARKS)}.")
    benchmark = BENCHMARKS[set_name]
    if variant and benchmark.variants is None:
        raise SteeringError(f"The benchmark {set_name!r} has no variants, found {name!r}; name the set alone.")
    if path is None and not benchmark.hub_id:
        raise SteeringError(f"The benchmark {set_name!r} has no home on the Hub; pass a copy of {benchmark.home}.")
    wanted = variant or (benchmark.variants.plain if benchmark.variants else "")
    rows = benchmark.rows(None if path is None else Path(path), wanted)
    where = f"The benchmark {set_name!r}" if path is None else repr(str(path))
    if not rows:
        raise SteeringError(f"{where} holds no row; get a fresh copy.")
    prompts, others = [], Counter[str]()
    for number, row in enumerate(rows, start=1):
        at = f"{where}, row {number},"
        if (trait := other_trait(row, except_for=benchmark.reads)) is not None:
            said = f"its {trait[0]!r} is {shortened(str(trait[1]))!r}"
            remedy = "keep the rows that you mean and drop the column"
            raise SteeringError(f"{at} is no plain prompt of {set_name!r}: {said}; {remedy}.")
        try:
            found = benchmark.variants.of(row) if benchmark.variants else ""
            if found == wanted:
                prompts.append(benchmark.prompt(row))
            else:
                others[found] += 1
        except MissingColumnError as error:
            remedy = error.remedy or "add it, or name the benchmark that these rows are of"
            lacks = f"lacks the column {error} of {set_name!r}, has {quoted(row)}"
            raise SteeringError(f"{at} {lacks}; {remedy}.") from error
        except ValueError as error:
            raise SteeringError(f"{at} is not one of {set_name!r}: {reason(error)}; mend or drop it.") from error
    if not prompts:
        has = ", ".join(f"{count} of '{set_name}:{one}'" for one, count in others.items())
        raise SteeringError(f"{where} holds no row of '{set_name}:{wanted}', but {has}; name one of these.")
    return LoadedBenchmark(name, tuple(prompts), benchmark.license, benchmark.citation)
