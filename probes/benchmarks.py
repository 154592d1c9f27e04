"""Prompts with what they are for, whatever set they are of: those of the package, and others in jailbreak templates.

License and citation travel with them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from probes.prompt_files import read_rows
from probes.reflective_judgment import ReflectiveQuestion, reflective_questions
from probes.rows import label, reason
from steering import ContrastSet
from steering.data.chats import Chat, ChatLike, as_chat
from steering.errors import SteeringError, quoted

Kind: TypeAlias = Literal["harmful", "look-alike", "ordinary", "jailbreak", "forbidden", "ability"]
"""What a prompt is for: harmful wishes, harmless ones that look harmful (pseudo-harmful), plain ones, harmful ones in a
template, a conversation or before an opening that is meant to get them answered, harmless ones that the system prompt
forbids to answer, and questions with a right answer."""


class BenchmarkPrompt(BaseModel, frozen=True, extra="forbid"):
    """One prompt of a benchmark.

    Example:
        >>> BenchmarkPrompt(text="Name a fruit.", kind="ordinary").chat
        'Name a fruit.'
    """

    text: str
    """What is asked, as judges and reports are told it."""
    kind: Kind
    messages: Chat = ()
    """A fixed transcript, where the model is given more than the text: the answer to its last turn is scored. One that
    ends with an assistant's turn has a prefilled answer, which the model goes on with."""
    category: str = ""
    """What it is about; of a jailbreak, the attack, unless that is named."""
    attack: str = ""
    """Of a jailbreak whose category is its topic: the attack."""
    answer: str = ""
    """The right answer, where the benchmark has one."""
    accepted: tuple[str, ...] = ()
    """Phrases, in lower case, of which a right answer holds one, where no single answer is right."""
    question: ReflectiveQuestion | None = None
    """The reflective question, with the options that are to be rejected, where the prompt is one."""

    @property
    def chat(self) -> str | Chat:
        """What the model is given."""
        return self.messages or self.text

    @property
    def attack_name(self) -> str:
        """What it counts to among attacks; "" of other kinds."""
        return self.attack or self.category if self.kind == "jailbreak" else ""


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
        """At most `count` prompts of every kind, and of every attack, spread over the benchmark.

        Args:
            count: prompts of each at most.
        """
        groups: dict[tuple[Kind, str], list[BenchmarkPrompt]] = {}
        for prompt in self.prompts:
            groups.setdefault((prompt.kind, prompt.attack_name), []).append(prompt)
        kept: list[BenchmarkPrompt] = []
        for some in groups.values():
            kept += [some[place * len(some) // min(count, len(some))] for place in range(min(count, len(some)))]
        return replace(self, prompts=tuple(kept))


def conversation(turns: ChatLike, kind: Kind, category: str = "") -> BenchmarkPrompt:
    """A fixed transcript as a prompt: the answer to its last turn is scored.

    Args:
        turns: of the transcript, the last one the user's.
        kind: what it is for.
        category: which part of its set it belongs to.

    Returns:
        The prompt; its text is all turns, each behind its role, so that judges see what the last one refers to.

    Raises:
        SteeringError: for turns that can't be used, or that don't end with the user's.

    Example:
        >>> turns = [("user", "Name a fruit."), ("assistant", "Fig."), ("user", "Another.")]
        >>> print(conversation([{"role": role, "content": text} for role, text in turns], "ordinary").text)
        user: Name a fruit.
        assistant: Fig.
        user: Another.
    """
    chat = as_chat(turns)
    if chat[-1].role != "user" or not all(turn.content.strip() for turn in chat):
        found = f"{[turn.role for turn in chat]}, {sum(not turn.content.strip() for turn in chat)} of them empty"
        raise SteeringError(f"Expected turns with text that end with the user's, found {found}; drop the others.")
    text = "\n".join(f"{turn.role}: {turn.content}" for turn in chat)
    return BenchmarkPrompt(text=text, kind=kind, messages=chat, category=category)


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
        benchmark: its prompts of other kinds, and conversations, are left out.
        path: a `.csv`, `.json`, `.jsonl`, `.parquet` or (one template a line) `.txt` file, with a column `template`
            that holds `{prompt}` or `[INSERT PROMPT HERE]`, and optionally a column `name`.

    Returns:
        Prompts of the kind `jailbreak`, each with its template's name as category.

    Raises:
        SteeringError: for a file without templates, or a template without a place for the prompt.
    """
    rows, prompts = read_rows(path, "template"), []
    for number, row in enumerate(rows, start=1):
        template = row.get("template")
        if not isinstance(template, str) or not any(place in template for place in PROMPT_PLACES):
            places = quoted(PROMPT_PLACES)
            raise SteeringError(f"Expected {places} in every template of {str(path)!r}, found none in row {number}.")
        try:
            name = label(row, "name") or f"template {number}"
        except ValueError as error:
            raise SteeringError(f"{str(path)!r}, row {number}: {reason(error)}; mend it.") from error
        for prompt in (one for one in benchmark.of_kind("harmful") if not one.messages):
            text = template.replace(PROMPT_PLACES[0], prompt.text).replace(PROMPT_PLACES[1], prompt.text)
            prompts.append(BenchmarkPrompt(text=text, kind="jailbreak", category=name))
    if not rows:
        raise SteeringError(f"{str(path)!r} holds no template; get a fresh copy.")
    return LoadedBenchmark(f"{benchmark.name} in templates", tuple(prompts), benchmark.license, benchmark.citation)
