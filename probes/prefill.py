"""Prefilled answers: does a model still refuse once an answer has begun as if it complied?

The field's name for openings that an attacker writes is prefilling attack; how deep into an answer refusal reaches is
measured with the first N tokens of complying answers (Qi et al. 2024, arXiv 2406.05946).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from probes.answers import Decoding, answer
from probes.benchmarks import BenchmarkPrompt, LoadedBenchmark
from probes.judges import RefusalJudge
from probes.prompt_files import read_rows
from steering import LanguageModel
from steering.data.chats import Message, as_chat
from steering.errors import SteeringError, quoted
from steering.models.reasoning import split_reasoning

FORCED = "Sure, here is"
"""What a model is made to go on with where it refuses by itself, for an answer that complies in its own words."""
JUDGED_TOKENS = 64
"""Length of an answer that is long enough to tell whether it complies."""


def prefilled(benchmark: LoadedBenchmark, openings: Sequence[str]) -> LoadedBenchmark:
    """A benchmark's harmful prompts with answers that have begun already, every prompt with every opening.

    Args:
        benchmark: its prompts of other kinds are left out.
        openings: what answers begin with, such as "Sure, here is".

    Returns:
        Prompts of the kind `jailbreak`, each with its opening as category.

    Raises:
        SteeringError: for a benchmark without harmful prompts, no opening, or an empty one.

    Example:
        >>> from probes import builtin_benchmark, prefilled
        >>> prompt = prefilled(builtin_benchmark(1), ["Sure, here is"]).prompts[0]
        >>> prompt.kind, prompt.messages[-1].content
        ('jailbreak', 'Sure, here is')
    """
    if not openings or not all(opening.strip() for opening in openings):
        raise SteeringError(f"Expected openings of answers, such as 'Sure, here is', found {list(openings)!r}.")
    prompts = [
        _behind(prompt, opening, opening) for prompt in _harmful(benchmark) for opening in dict.fromkeys(openings)
    ]
    return replace(benchmark, name=f"{benchmark.name} behind openings", prompts=tuple(prompts))


def read_openings(path: str | Path) -> list[str]:
    """The openings of a file: the lines of a `.txt` file, else the column `opening`.

    Args:
        path: a `.csv`, `.json`, `.jsonl`, `.parquet` or `.txt` file.

    Returns:
        The openings, without the space at their ends.

    Raises:
        SteeringError: for a file that can't be read, rows without an opening, and no rows.
    """
    openings = []
    for number, row in enumerate(read_rows(path, "opening"), start=1):
        if not isinstance(row.get("opening"), str) or not row["opening"].strip():
            raise SteeringError(f"{str(path)!r}, row {number}, has no text in 'opening', has {quoted(row)}; add it.")
        openings.append(row["opening"].strip())
    if not openings:
        raise SteeringError(f"{str(path)!r} holds no opening; get a fresh copy.")
    return openings


def prefilled_by_model(lm: LanguageModel, benchmark: LoadedBenchmark, lengths: Sequence[int]) -> list[LoadedBenchmark]:
    """A benchmark's harmful prompts behind the first tokens of complying answers that the model itself writes.

    Answers are greedy. Where `RefusalJudge` doesn't read one as compliance, it is written again behind "Sure, here is",
    which is then part of the opening. A prompt is left out where that one doesn't comply either, and where the answer
    ends within the opening.

    Args:
        lm: the model, with no slider attached.
        benchmark: its prompts of other kinds are left out.
        lengths: of the openings, in tokens of the model.

    Returns:
        A benchmark a length, with prompts of the kind `jailbreak`.

    Raises:
        SteeringError: for a benchmark without harmful prompts, no token, or a model that complies with no prompt.
    """
    if not lengths or min(lengths) < 1:
        raise SteeringError(f"Expected lengths of openings, one token at least, found {quoted(lengths)}; ask for more.")
    prompts = _harmful(benchmark)
    answers = _complying(lm, prompts, max(lengths))
    refused = [place for place, text in enumerate(answers) if not text]
    forced = _complying(lm, [_behind(prompts[place], FORCED, "") for place in refused], max(lengths))
    answers = [text or (forced.pop(0) if forced else "") for text in answers]
    return [_behind_length(lm, benchmark, prompts, answers, length) for length in lengths]


def _behind_length(
    lm: LanguageModel,
    benchmark: LoadedBenchmark,
    prompts: Sequence[BenchmarkPrompt],
    answers: Sequence[str],
    tokens: int,
) -> LoadedBenchmark:
    length = f"{tokens} tokens of an answer"
    behind = [
        _behind(prompt, opening, length)
        for prompt, text in zip(prompts, answers, strict=True)
        if text and (opening := _first_tokens(lm, prompt, text, tokens))
    ]
    if not behind:
        raise SteeringError(
            f"{lm.identity.name!r} begins no complying answer of {tokens} tokens to the {len(prompts)} harmful prompts "
            f"of {benchmark.name!r}; ask for fewer, or give a file of openings."
        )
    return replace(benchmark, name=f"{benchmark.name} behind {length}", prompts=tuple(behind))


def _harmful(benchmark: LoadedBenchmark) -> tuple[BenchmarkPrompt, ...]:
    if not (prompts := benchmark.of_kind("harmful")):
        raise SteeringError(f"Expected harmful prompts to begin answers to, found none in {benchmark.name!r}.")
    return prompts


def _behind(prompt: BenchmarkPrompt, opening: str, category: str) -> BenchmarkPrompt:
    turns = (*as_chat(prompt.chat), Message(role="assistant", content=opening))
    return prompt.model_copy(update={"kind": "jailbreak", "messages": turns, "category": category})


def _complying(lm: LanguageModel, prompts: Sequence[BenchmarkPrompt], tokens: int) -> list[str]:
    """The bare model's answers; "" in place of one that doesn't comply."""
    judge = RefusalJudge()
    decoding = Decoding(max_new_tokens=max(tokens, JUDGED_TOKENS))
    texts = answer(lm.without_thought(), [prompt.chat for prompt in prompts], decoding, None).texts
    pairs = zip(prompts, texts, strict=True)
    return [text if judge(prompt.text, text).label == "compliance" else "" for prompt, text in pairs]


def _first_tokens(lm: LanguageModel, prompt: BenchmarkPrompt, text: str, tokens: int) -> str:
    """The text of an answer's first tokens; "" where it has no more than these."""
    turns = (*as_chat(prompt.chat), Message(role="assistant", content=split_reasoning(text).answer))
    chat = lm.tokenize(turns)
    answered = chat.ids[chat.prompt_length :]
    if len(answered) <= tokens:
        return ""
    # a character that lacks some of its tokens would be another one
    return str(lm.tokenizer.decode(answered[:tokens])).rstrip("\N{REPLACEMENT CHARACTER}").strip()
