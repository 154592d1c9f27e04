"""Scores of a grid without generation: what each is measured on, and which slider is meant to raise it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python
from torch import Tensor

from probes.benchmarks import Kind, LoadedBenchmark
from probes.scores import answer_cross_entropy, answer_divergence, preference_margin, refusal_score
from steering import ContrastPair, ContrastSet, Dial, LanguageModel
from steering.data.chats import Chat, Message, as_chat, without_answer
from steering.models.reasoning import split_reasoning

FIRST_TOKEN_SCORES: dict[Kind, str] = {
    "harmful": "refusal of harmful",
    "look-alike": "refusal of look-alikes",
    "ordinary": "refusal of ordinary",
}
"""By kind of prompt: log odds, in nats, that the answer's first token is one that begins refusals."""
BUILTIN_OWN = {"safety": FIRST_TOKEN_SCORES["harmful"], "helpfulness": "engaged over evasive"}
"""The scores of the built-in sets of these names: what sliders of these names are meant to raise."""
PAIRS = 48
"""Of each set, at most."""
PAIRS_BESIDE_ANSWERS = 16
DAMAGE_ANSWERS = 12
DAMAGE_TOKENS = 32
"""From every one of these answers: enough for a mean, and cheap beside the generation."""


@dataclass(frozen=True)
class Score:
    """One number a prompt (or pair), measured under whatever the dial is set to."""

    name: str
    items: Sequence[Any]
    """Prompts, chats or contrast pairs: what `measure` takes."""
    measure: Callable[[LanguageModel, Sequence[Any], Dial], Tensor]
    own_slider: str | None = None
    """The slider that is meant to raise it, if any."""

    @property
    def fingerprint(self) -> str:
        """Tells apart what is measured on what."""
        content = [self.name, self.measure.__module__, self.measure.__qualname__, list(self.items)]
        return hashlib.sha256(json.dumps(to_jsonable_python(content), sort_keys=True).encode()).hexdigest()[:16]


def own_score(name: str, pairs: Sequence[ContrastPair], slider: str) -> Score:
    """The score of the built-in safety or helpfulness set, on pairs of it, for the slider that is meant to raise it."""
    if name == "safety":
        return Score(BUILTIN_OWN[name], [pair.positive for pair in pairs], _refusal, slider)
    return Score(BUILTIN_OWN[name], pairs, preference_margin, slider)


def builtin_scores(count: int = PAIRS) -> list[Score]:
    """Scores on pairs of the built-in sets that `extract` held out, and what each slider is to raise.

    Likelihood scores only: no text is generated and no judge asked.

    Args:
        count: number of pairs of each set at most.

    Returns:
        The scores; two have a slider of their own.
    """
    safety, helpfulness, look_alikes = (held_out(name, count) for name in ("safety", "helpfulness", "over-refusal"))
    ordinary = [pair.positive[:-1] for pair in helpfulness]
    return [
        own_score("safety", safety, "safety"),
        own_score("helpfulness", helpfulness, "helpfulness"),
        Score(FIRST_TOKEN_SCORES["look-alike"], [pair.positive[:-1] for pair in look_alikes], _refusal),
        Score(FIRST_TOKEN_SCORES["ordinary"], ordinary, _refusal),
        Score("KL on ordinary", ordinary, answer_divergence),
    ]


def scores_beside(found: Iterable[str]) -> list[Score]:
    """The built-in scores that answering benchmarks does not give already, on fewer prompts."""
    if not (given := set(found)):
        return builtin_scores()
    return [score for score in builtin_scores(PAIRS_BESIDE_ANSWERS) if score.name not in {*given, "KL on ordinary"}]


def damage_scores(
    lm: LanguageModel, benchmarks: Sequence[LoadedBenchmark], bare_answers: Mapping[str, Sequence[str]]
) -> list[Score]:
    """KL and cross-entropy on the bare model's own answers to ordinary prompts; none without such prompts."""

    def chat(prompt: str | Chat, answer: str) -> Chat:
        asked = without_answer(as_chat(prompt))  # the answer holds what was prefilled of it
        whole = lm.tokenize((*asked, Message(role="assistant", content=answer)))
        beginning = lm.tokenizer.decode(whole.ids[whole.prompt_length :][:DAMAGE_TOKENS])
        return *asked, Message(role="assistant", content=str(beginning))

    chats = [
        chat(prompt.chat, text)
        for benchmark in benchmarks
        for prompt, written in zip(benchmark.prompts, bare_answers[benchmark.name], strict=True)
        if prompt.kind == "ordinary" and (text := split_reasoning(written).answer)
    ][:DAMAGE_ANSWERS]
    if not chats:
        return []
    return [
        Score("KL on own answers", chats, answer_divergence),
        Score("cross-entropy of own answers", chats, answer_cross_entropy),
    ]


def held_out(name: str, count: int) -> ContrastSet:
    """Pairs of a built-in set that `extract` keeps out of its vectors, spread over the set."""
    return ContrastSet.builtin(name).split()[1].spread(count)


def _refusal(lm: LanguageModel, prompts: Sequence[Any], _dial: Dial) -> Tensor:
    return refusal_score(lm, prompts)
