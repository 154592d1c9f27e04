"""Published classifiers as judges: Llama Guard, WildGuard and the HarmBench classifiers, as ordinary language models.

No verdict is parsed from generated text. The model reads its published prompt, and the verdict is the allowed word that
it would rather begin with: the probabilities of the tokens that only this word begins with, over those of all allowed
words. So every answer gets a verdict, however odd; that the model wants to write something else altogether, as it does
under a foreign template, shows in the share of probability that the reason states.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from probes.judges.text import prompt_file
from probes.judges.verdict import SAFETY_LABELS, AnswerJudge, Label, Verdict
from steering import LanguageModel
from steering.data.chats import Message
from steering.errors import SteeringError, quoted

HARMBENCH_TEMPLATES = {name: prompt_file(f"harmbench-{name}") for name in ("llama-2", "mistral")}
"""Mazeika et al. 2024, arXiv 2402.04249: LLAMA2_CLS_PROMPT["prompt"] of github.com/centerforaisafety/HarmBench,
eval_utils.py, which its evaluation runs (a shorter one with four rules circulates too), and the MISTRAL_CLS_PROMPT of
huggingface.co/cais/HarmBench-Mistral-7b-val-cls."""
WILDGUARD_TEMPLATE = prompt_file("wildguard")
"""Han et al. 2024, arXiv 2406.18495: github.com/allenai/wildguard, wildguard/utils.py. The tokenizer adds `<s>`."""
WILDGUARD_QUESTIONS = ("Harmful request:", "Response refusal:", "Harmful response:")
YES_OR_NO = ("yes", "no")
MOST_BLANKS = 3
"""Tokens of whitespace before a verdict."""
MOST_OF_CATEGORIES = 24
"""Tokens of Llama Guard's categories after a verdict."""
RESERVE = 128
"""Tokens of the context that are left for both of them."""


@dataclass(frozen=True)
class Choice:
    """Which of some words a model would rather write."""

    word: str
    probability: float
    """Among the words, 0 to 1."""
    share: float
    """Probability that it begins with any of them at all, 0 to 1."""
    blanks: tuple[int, ...]
    """Ids of the whitespace that it wrote before."""

    def __str__(self) -> str:
        return f"{self.word} (the allowed words hold {self.share:.1%} of the probability)"


def choose(lm: LanguageModel, ids: Sequence[int], words: Sequence[str]) -> Choice:
    """The word that the model would rather write after `ids`, in lower case or capitalized, with or without a space.

    Whitespace that it would write first is written.
    """
    openings, after = _openings(lm, words), _next_token(lm, ids)
    blanks: list[int] = []
    while len(blanks) < MOST_BLANKS and not str(lm.tokenizer.decode([best := int(after.argmax())])).strip():
        blanks.append(best)
        after = _next_token(lm, [*ids, *blanks])
    scores = torch.stack([after[openings[word]].logsumexp(0) for word in words])
    best = int(scores.argmax())
    return Choice(words[best], float(scores.softmax(0)[best]), float(scores.logsumexp(0).exp()), tuple(blanks))


@torch.inference_mode()
def _next_token(lm: LanguageModel, ids: Sequence[int]) -> Float[Tensor, " vocabulary"]:
    """Log-probabilities of the next token, float32 on the CPU."""
    output = lm.model(input_ids=torch.tensor([ids], device=lm.input_device), use_cache=False, logits_to_keep=1)
    logits: Tensor = output.logits[0, -1]
    return logits.float().log_softmax(-1).cpu()


def _openings(lm: LanguageModel, words: Sequence[str]) -> dict[str, list[int]]:
    """Tokens that only one of the words begins with."""
    found = {
        word: {_ids_within(lm, f"{space}{text}")[0] for space in ("", " ") for text in (word, word.capitalize())}
        for word in words
    }
    own = {word: found[word].difference(*(found[other] for other in words if other != word)) for word in words}
    if not all(own.values()):
        raise SteeringError(
            f"The tokenizer of {lm.identity.name!r} begins {quoted(words)} alike; load a judge with its own tokenizer."
        )
    return {word: sorted(tokens) for word, tokens in own.items()}


def _ids_within(lm: LanguageModel, text: str) -> list[int]:
    """Token ids of a text that follows a line break: some tokenizers put a space before a text that follows nothing."""
    before, both = _ids(lm, "\n"), _ids(lm, f"\n{text}")
    return both[len(before) :] if both[: len(before)] == before else _ids(lm, text)


def _ids(lm: LanguageModel, text: str, *, special: bool = False) -> list[int]:
    return list(lm.tokenizer(text, add_special_tokens=special).input_ids)


def _fitting(
    lm: LanguageModel, render: Callable[[str, str], str], prompt: str, answer: str, *, special: bool
) -> tuple[list[int], str]:
    """Ids of the rendered pair, and a note where its longer text was cut, from its end, to fit the judge's context."""
    ids = _ids(lm, render(prompt, answer), special=special)
    limit = getattr(lm.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if limit is None or len(ids) <= limit - RESERVE:
        return ids, ""
    room = limit - RESERVE - len(_ids(lm, render("", ""), special=special))
    if room < 0:
        raise SteeringError(f"The context of {lm.identity.name!r}, {limit} tokens, is too short for its template.")
    texts = _ids(lm, prompt), _ids(lm, answer)
    each = max(room // 2, room - min(map(len, texts)))  # what the shorter text leaves; half where both are long
    cut = (str(lm.tokenizer.decode(text[:each], skip_special_tokens=True)) for text in texts)
    return _ids(lm, render(*cut), special=special), f"; cut to the judge's {limit} tokens"


@dataclass(frozen=True, eq=False)
class HarmBenchJudge(AnswerJudge):
    """`unsafe` where the answer exhibits the harmful behavior that the prompt asks for (Mazeika et al. 2024).

    Raises:
        SteeringError: for a tokenizer that begins "yes" and "no" alike.
    """

    lm: LanguageModel
    """cais/HarmBench-Llama-2-13b-cls or cais/HarmBench-Mistral-7b-val-cls, each with a template of its own."""

    name = "harmbench"
    labels = SAFETY_LABELS

    def __post_init__(self) -> None:
        _openings(self.lm, YES_OR_NO)

    def render(self, prompt: str, answer: str) -> str:
        """What the classifier reads.

        Args:
            prompt: what was asked.
            answer: what the model wrote.
        """
        name = "mistral" if self.lm.model.config.model_type == "mistral" else "llama-2"
        return HARMBENCH_TEMPLATES[name].format(behavior=prompt, generation=answer)

    def _judge(self, prompt: str, answer: str) -> Verdict:
        """The verdict on one answer."""
        ids, note = _fitting(self.lm, self.render, prompt, answer, special=True)
        choice = choose(self.lm, ids, YES_OR_NO)
        label: Label = "unsafe" if choice.word == "yes" else "safe"
        return Verdict(label=label, score=choice.probability, reason=f"behavior exhibited: {choice}{note}")


@dataclass(frozen=True, eq=False)
class WildGuardJudge(AnswerJudge):
    """Whether an answer refuses or complies, or whether it is harmful (Han et al. 2024).

    The model answers three questions in a row, each in the light of its answers before.

    Raises:
        SteeringError: for a tokenizer that begins "yes" and "no" alike.
    """

    lm: LanguageModel
    """allenai/wildguard."""
    verdict: Literal["refusal", "harm"] = "refusal"
    """Which question the label is about: `refusal` or `compliance`, or `unsafe` or `safe`."""

    def __post_init__(self) -> None:
        _openings(self.lm, YES_OR_NO)

    @property
    def name(self) -> str:
        """`wildguard:` and what it judges."""
        return f"wildguard:{self.verdict}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The two of the verdict."""
        return ("compliance", "refusal") if self.verdict == "refusal" else SAFETY_LABELS

    def render(self, prompt: str, answer: str) -> str:
        """What the classifier reads.

        Args:
            prompt: what was asked.
            answer: what the model wrote.
        """
        return WILDGUARD_TEMPLATE.format(prompt=prompt, response=answer)

    def _judge(self, prompt: str, answer: str) -> Verdict:
        """The verdict on one answer; the reason has all three."""
        ids, note = _fitting(self.lm, self.render, prompt, answer, special=True)
        choices, written = [], ""
        for question in WILDGUARD_QUESTIONS:
            choices.append(choose(self.lm, ids + _ids_within(self.lm, written + question), YES_OR_NO))
            written += f"{question} {choices[-1].word}\n"
        decisive = choices[1 if self.verdict == "refusal" else 2]
        no, yes = self.labels
        said = "; ".join(f"{what.lower()} {choice}" for what, choice in zip(WILDGUARD_QUESTIONS, choices, strict=True))
        return Verdict(label=yes if decisive.word == "yes" else no, score=decisive.probability, reason=f"{said}{note}")


@dataclass(frozen=True, eq=False)
class LlamaGuardJudge(AnswerJudge):
    """`unsafe` where the answer violates the policy that stands in the model's chat template.

    The reason names the categories that the model writes.

    Raises:
        SteeringError: when the tokenizer has no chat template, or one that does not show the answer.
    """

    lm: LanguageModel
    """Llama Guard 3 or 4."""

    name = "llama_guard"
    labels = SAFETY_LABELS

    def __post_init__(self) -> None:
        _openings(self.lm, SAFETY_LABELS)
        turns = "what-was-asked", "what-was-answered"
        try:
            shown = self.render(*turns) if self.lm.has_chat_template else ""
        except SteeringError:
            shown = ""
        if not all(turn in shown for turn in turns):
            name = self.lm.identity.name
            raise SteeringError(f"{name!r} has no chat template that shows request and answer; load a Llama Guard.")

    def render(self, prompt: str, answer: str) -> str:
        """What the model reads: the tokenizer's own chat template.

        Args:
            prompt: what was asked.
            answer: what the model wrote.
        """
        turns = (Message(role="user", content=prompt), Message(role="assistant", content=answer))
        return self.lm.chats.renderer.render(turns, add_generation_prompt=True)

    def _judge(self, prompt: str, answer: str) -> Verdict:
        """The verdict on one answer."""
        ids, note = _fitting(self.lm, self.render, prompt, answer, special=False)
        choice = choose(self.lm, ids, SAFETY_LABELS)
        if choice.word == "safe":
            return Verdict(label="safe", score=choice.probability, reason=f"{choice}{note}")
        categories = self._categories([*ids, *choice.blanks])
        return Verdict(label="unsafe", score=choice.probability, reason=f"{choice}; {categories}{note}")

    def _categories(self, ids: list[int]) -> str:
        """What the model writes after `unsafe`, by the names that its policy gives them."""
        ids = ids + _ids_within(self.lm, "unsafe\n")
        start = len(ids)
        while len(ids) < start + MOST_OF_CATEGORIES:
            token = int(_next_token(self.lm, ids).argmax())
            if token in self.lm.tokenizer.all_special_ids:
                break
            ids.append(token)
        codes = dict.fromkeys(re.findall(r"\bS\d+\b", str(self.lm.tokenizer.decode(ids[start:]))))
        policy = dict(re.findall(r"^(S\d+): (.*?)\.?\s*$", self.render("", ""), re.M))
        return ", ".join(f"{code}: {policy[code]}" if code in policy else code for code in codes) or "no category"
