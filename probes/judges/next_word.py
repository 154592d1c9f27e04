"""What a language model would write next: which of some words, or a line, after a text that fits its context.

No verdict is a word that a model happened to write: the probabilities of the tokens that only one of the allowed words
begins with are compared. So every answer gets a verdict, however odd; that the model wants to write something else
altogether, as it does under a foreign template, shows in the share of probability that the allowed words hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from steering import LanguageModel
from steering.errors import SteeringError, quoted
from steering.models.greedy import greedy_options

YES_OR_NO = ("yes", "no")
MOST_BLANKS = 3
"""Tokens of whitespace before a verdict."""
LONGEST_LINE = 24
"""Tokens of a line that a judge writes beside its verdict, such as categories."""
RESERVE = 128
"""Tokens of the context that are left for verdicts and lines."""


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
    begins, after = openings(lm, words), next_token(lm, ids)
    blanks: list[int] = []
    while len(blanks) < MOST_BLANKS and not str(lm.tokenizer.decode([best := int(after.argmax())])).strip():
        blanks.append(best)
        after = next_token(lm, [*ids, *blanks])
    scores = torch.stack([after[begins[word]].logsumexp(0) for word in words])
    best = int(scores.argmax())
    return Choice(words[best], float(scores.softmax(0)[best]), float(scores.logsumexp(0).exp()), tuple(blanks))


@torch.inference_mode()
def next_token(lm: LanguageModel, ids: Sequence[int]) -> Float[Tensor, " vocabulary"]:
    """Log-probabilities of the next token, float32 on the CPU."""
    output = lm.model(input_ids=torch.tensor([ids], device=lm.input_device), use_cache=False, logits_to_keep=1)
    logits: Tensor = output.logits[0, -1]
    return logits.float().log_softmax(-1).cpu()


def openings(lm: LanguageModel, words: Sequence[str]) -> dict[str, list[int]]:
    """Tokens that only one of the words begins with."""
    found = {
        word: {ids_within(lm, f"{space}{text}")[0] for space in ("", " ") for text in (word, word.capitalize())}
        for word in words
    }
    own = {word: found[word].difference(*(found[other] for other in words if other != word)) for word in words}
    if not all(own.values()):
        raise SteeringError(
            f"The tokenizer of {lm.identity.name!r} begins {quoted(words)} alike; load a judge with its own tokenizer."
        )
    return {word: sorted(tokens) for word, tokens in own.items()}


def ids_within(lm: LanguageModel, text: str) -> list[int]:
    """Token ids of a text that follows a line break: some tokenizers put a space before a text that follows nothing."""
    before, both = _ids(lm, "\n"), _ids(lm, f"\n{text}")
    return both[len(before) :] if both[: len(before)] == before else _ids(lm, text)


def write_line(lm: LanguageModel, ids: Sequence[int]) -> str:
    """What the model writes after `ids` until the line ends, at most `LONGEST_LINE` tokens of it."""
    written: list[int] = []
    while len(written) < LONGEST_LINE:
        token = int(next_token(lm, [*ids, *written]).argmax())
        if token in lm.tokenizer.all_special_ids or "\n" in str(lm.tokenizer.decode([token])):
            break
        written.append(token)
    return str(lm.tokenizer.decode(written)).strip()


def write_freely(lm: LanguageModel, ids: Sequence[int], most: int) -> str:
    """What the model writes after `ids`, at its likeliest, special tokens included; at most a number of tokens."""
    given = torch.tensor([list(ids)], device=lm.input_device)
    model: Any = lm.model  # its `generate` is untyped
    output = model.generate(
        input_ids=given,
        attention_mask=torch.ones_like(given),
        **greedy_options(model, {"max_new_tokens": most, "pad_token_id": lm.padding_id}),
    )
    return str(lm.tokenizer.decode(output[0, len(ids) :]))


def _ids(lm: LanguageModel, text: str, *, special: bool = False) -> list[int]:
    return list(lm.tokenizer(text, add_special_tokens=special).input_ids)


def fitting(
    lm: LanguageModel,
    render: Callable[[str, str], str],
    prompt: str,
    answer: str,
    *,
    special: bool,
    reserve: int = RESERVE,
) -> tuple[list[int], str]:
    """Ids of the rendered pair, and a note where its longer text was cut, from its end, to fit the judge's context.

    `reserve` tokens of the context are left for what the judge writes.
    """
    ids = _ids(lm, render(prompt, answer), special=special)
    limit = getattr(lm.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if limit is None or len(ids) <= limit - reserve:
        return ids, ""
    room = limit - reserve - len(_ids(lm, render("", ""), special=special))
    if room < 0:
        raise SteeringError(f"The context of {lm.identity.name!r}, {limit} tokens, is too short for its template.")
    texts = _ids(lm, prompt), _ids(lm, answer)
    each = max(room // 2, room - min(map(len, texts)))  # what the shorter text leaves; half where both are long
    cut = (str(lm.tokenizer.decode(text[:each], skip_special_tokens=True)) for text in texts)
    return _ids(lm, render(*cut), special=special), f"; cut to the judge's {limit} tokens"
