"""What `trimtab evaluate` and `trimtab compare` share: the grid, the prompts, how they are answered, who judges."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

import steering
from steering.errors import SteeringError, quoted
from trimtab.options import MaxNewTokens, ModelOptions

if TYPE_CHECKING:
    from probes.answers import Decoding
    from probes.benchmarks import LoadedBenchmark
    from probes.judges import Judge

KEY_VARIABLE = "TRIMTAB_JUDGE_KEY"
"""Environment variable with an endpoint's API key, so that it stands in no command line."""


@dataclass(frozen=True)
class GridOptions:
    """What is measured at every setting of a grid."""

    values: Annotated[str, Option(help="Slider values of the grid; 0 among them.")] = "0,0.5,1"
    prompts: Annotated[int, Option(min=2, help="Prompts of a kind.")] = 24
    benchmark: Annotated[
        list[str] | None,
        Option(
            "--benchmark",
            "-b",
            help="built-in, NAME (of the Hub) or NAME=FILE, repeatable: prompts to answer and judge. NAME:VARIANT, as "
            "in sorry-bench:slang, takes rows that are no plain prompts; conversations=FILE takes your own.",
        ),
    ] = None
    prefill: Annotated[
        list[str] | None,
        Option(
            help="N or FILE, repeatable: answer harmful prompts also behind the first N tokens of complying answers of "
            "the model's own, or behind a file's openings, such as 'Sure, here is', one a line."
        ),
    ] = None
    templates: Annotated[str | None, Option(help="Jailbreak templates to answer the harmful prompts in too.")] = None
    judge: Annotated[
        list[str] | None,
        Option(
            help="refusal-judge (the default), a published list such as gcg or xstest, llama-guard=MODEL, "
            "qwen3guard=MODEL, granite-guardian=MODEL, wildguard=MODEL, harmbench=MODEL, endpoint=MODEL@URL, or "
            "strongreject=MODEL@URL, its key in TRIMTAB_JUDGE_KEY; repeatable, figures are the first's."
        ),
    ] = None
    seeds: Annotated[str | None, Option(help="Such as 0,1,2: one sampled answer for each; greedy without.")] = None
    temperature: Annotated[float, Option(min=0.01, help="Temperature of sampled answers.")] = 1.0
    max_new_tokens: MaxNewTokens = 64
    cells: Annotated[str | None, Option(help="Folder of finished cells: a killed run goes on from there.")] = None

    def grid(self) -> list[float]:
        """`"-1,0,1"` -> `[-1.0, 0.0, 1.0]`."""
        try:
            values = sorted({float(part) for part in self.values.split(",")})
        except ValueError:
            raise SteeringError(f"Expected numbers such as -1,0,1, found {self.values!r}.") from None
        if 0.0 not in values or len(values) < 2:
            raise SteeringError(f"Expected 0 and at least one other value, found {self.values!r}.")
        return values

    def decoding(self) -> "Decoding":
        """How every prompt is answered: greedily, or once with each seed."""
        from probes.answers import Decoding

        try:
            seeds = tuple(int(part) for part in self.seeds.split(",")) if self.seeds else ()
        except ValueError:
            raise SteeringError(f"Expected whole numbers such as 0,1,2, found {self.seeds!r}.") from None
        return Decoding(max_new_tokens=self.max_new_tokens, seeds=seeds, temperature=self.temperature)

    def benchmarks(self, *default: str) -> "list[LoadedBenchmark]":
        """The named benchmarks, `prompts` of a kind at most, and those with harmful prompts in the templates too."""
        from probes.benchmarks import in_templates

        found = [self._benchmark(entry) for entry in self.benchmark or default]
        if self.templates is not None:
            wrapped = [in_templates(one, self.templates) for one in found if one.of_kind("harmful")]
            if not wrapped:
                raise SteeringError("Expected harmful prompts for the templates, found none; name a --benchmark.")
            found += wrapped
        return found

    def openings(self, benchmarks: "Sequence[LoadedBenchmark]") -> list[int | list[str]]:
        """Lengths of openings in tokens, and the openings of files. Raises SteeringError before a model is loaded."""
        from probes.prefill import read_openings

        found = [
            int(entry) if entry.isdecimal() and len(entry) < 10 else read_openings(entry)
            for entry in self.prefill or ()
        ]
        if 0 in found:
            raise SteeringError("Expected openings of one token at least for --prefill, found 0; name a number above.")
        if found and not any(one.of_kind("harmful") for one in benchmarks):
            raise SteeringError("Expected harmful prompts for --prefill, found none; name a --benchmark.")
        return found

    def _benchmark(self, entry: str) -> "LoadedBenchmark":
        from probes.conversations import load_conversations
        from probes.published_sets import BENCHMARKS, load_benchmark
        from probes.suites import BUILTIN

        if entry in BUILTIN:
            return BUILTIN[entry](self.prompts)
        name, separator, file = entry.partition("=")
        if name == "conversations" and file:
            return load_conversations(file).spread(self.prompts)
        if name.partition(":")[0] not in BENCHMARKS:
            known = quoted((*BUILTIN, *BENCHMARKS, "conversations=FILE"))
            raise SteeringError(f"There is no benchmark {name!r}; choose from {known}.")
        return load_benchmark(name, Path(file) if separator else None).spread(self.prompts)

    def judges(self) -> "list[Judge]":
        """The named judges; `RefusalJudge` without any."""
        return [_judge(entry) for entry in self.judge or ["refusal-judge"]]


def behind_openings(
    lm: "steering.LanguageModel", benchmarks: "Sequence[LoadedBenchmark]", openings: "Sequence[int | list[str]]"
) -> "list[LoadedBenchmark]":
    """The benchmarks' harmful prompts behind openings of answers; no slider may be attached."""
    from probes.prefill import prefilled, prefilled_by_model

    lengths = [some for some in openings if isinstance(some, int)]
    harmful = [one for one in benchmarks if one.of_kind("harmful")]
    by_model = [behind for one in harmful for behind in (prefilled_by_model(lm, one, lengths) if lengths else ())]
    return by_model + [prefilled(one, some) for one in harmful for some in openings if not isinstance(some, int)]


def _judge(entry: str) -> "Judge":
    from probes import judges
    from probes.judges.substring_lists import SUBSTRING_LISTS, SubstringJudge

    by_model = {
        "llama-guard": judges.LlamaGuardJudge,
        "qwen3guard": judges.Qwen3GuardJudge,
        "granite-guardian": judges.GraniteGuardianJudge,
        "wildguard": judges.WildGuardJudge,
        "harmbench": judges.HarmBenchJudge,
    }
    by_endpoint: dict[str, type[judges.EndpointJudge | judges.StrongRejectJudge]] = {
        "endpoint": judges.EndpointJudge,
        "strongreject": judges.StrongRejectJudge,
    }
    if entry == "refusal-judge":
        return judges.RefusalJudge()
    if entry in SUBSTRING_LISTS:
        return SubstringJudge(entry)
    kind, _, name = entry.partition("=")
    if kind in by_model and name:
        judge: Judge = by_model[kind](ModelOptions(name).load())
        return judge
    model, at, url = name.partition("@")
    if kind in by_endpoint and model and at:
        return by_endpoint[kind](url, model, api_key=os.environ.get(KEY_VARIABLE))
    forms = ", ".join([*(f"{name}=MODEL" for name in by_model), *(f"{name}=MODEL@URL" for name in by_endpoint)])
    raise SteeringError(
        f"Expected a judge, found {entry!r}; choose from 'refusal-judge', {quoted(SUBSTRING_LISTS)}, {forms}."
    )
