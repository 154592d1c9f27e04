"""The pairs that an axis of one's own is measured by: those of its contrast set that did not make its vector.

Which those are stands in the vector's record: the set's fingerprint, and how many of its pairs `extract` held out. The
score is the mean `preference_margin` of what `own_pairs` gives.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from steering.data.chats import Chat, Message
from steering.data.contrast import ContrastPair, ContrastSet
from steering.errors import SteeringError, quoted
from steering.models.batching import like_lengths
from steering.models.language_model import LanguageModel
from steering.models.reasoning import split_reasoning
from steering.vectors.provenance import Source
from steering.vectors.slider import Slider

FEWEST = 4
"""Pairs of a score: of twenty, `extract` holds out four."""
ANSWER_TOKENS = 24
"""Length of the model's own answers to pairs of prompts."""
TOKENS_PER_BATCH = 4096
"""Prompt tokens that are answered in one batch."""


@dataclass(frozen=True)
class OwnPairs:
    """Pairs of answers, and what the axis' own score is called that is measured on them."""

    name: str
    pairs: tuple[ContrastPair, ...]


def check_pairs(given: Iterable[str], axes: Collection[str]) -> None:
    """Raise SteeringError where pairs are given for what is no axis."""
    if unknown := [axis for axis in given if axis not in axes]:
        raise SteeringError(f"Expected pairs for {quoted(axes)}, found some for {quoted(unknown)}; leave them out.")


def own_pairs(lm: LanguageModel, pairs: Sequence[ContrastPair], slider: str) -> OwnPairs:
    """What a slider's own score is measured on; for pairs of prompts, the model's own answers to both sides.

    Those are greedy, 24 tokens, and stand behind the negative prompt: whether the model answers it as though it had
    been asked the positive one.

    Args:
        lm: the model as it is, any slider at 0.
        pairs: at least 4 that did not make the slider's vector.
        slider: name of the slider that is meant to raise the score.

    Returns:
        Pairs of answers; of prompts, those that the model answers differently.

    Raises:
        SteeringError: for fewer than 4 pairs, and where the model answers both sides of too many pairs alike.

    Example:
        >>> from steering import ContrastSet
        >>> own_pairs(lm, ContrastSet.builtin("helpfulness")[:4], "engagement").name
        'engagement: positive over negative answers'
    """
    if len(pairs) < FEWEST:
        raise SteeringError(
            f"Expected at least {FEWEST} pairs to measure {slider!r} on, found {len(pairs)}; write more, "
            f"{5 * FEWEST} in all: `extract` holds out a fifth."
        )
    if pairs[0].positive[-1].role == "assistant":
        return OwnPairs(f"{slider}: positive over negative answers", tuple(pairs))
    answered = _with_own_answers(lm, pairs)
    if len(answered) < FEWEST:
        raise SteeringError(
            f"Expected at least {FEWEST} pairs whose prompts the model answers differently, to measure {slider!r} on, "
            f"found {len(answered)} of {len(pairs)}; use more pairs of prompts, or pairs of answers."
        )
    return OwnPairs(f"{slider}: own answers to positive over negative prompts", answered)


@dataclass(frozen=True)
class MadeFrom:
    """The contrast set that a slider's vector was made from, in its two parts."""

    name: str
    used: ContrastSet
    held_out: ContrastSet
    is_builtin: bool


def made_from(slider: Slider, name: str, given: ContrastSet | None = None) -> MadeFrom:
    """The set that a slider was made from: the one that is given, or the built-in one that its record names.

    Raises SteeringError where the record doesn't name it, so that nobody knows which pairs the vector has not seen.
    """
    origins = [push.vector.origin for push in slider.pushes]
    sources = list(dict.fromkeys(source for origin in origins if origin for source in origin.sources))
    known = ContrastSet.builtin_names()
    builtin = [ContrastSet.builtin(one) for one in {source.contrast_set for source in sources} if one in known]
    candidates = builtin if given is None else [given]
    found = [(one, source) for one in candidates for source in sources if source.fingerprint == one.fingerprint]
    if len({whole.fingerprint for whole, _ in found}) != 1:
        raise SteeringError(_unknown(name, sources, given))
    whole, source = min(found, key=lambda pair: pair[1].held_out_pairs)  # what no part of the vector has seen
    used, held_out = whole.split(source.held_out_pairs / len(whole))
    is_builtin = whole.fingerprint in [one.fingerprint for one in builtin]
    return MadeFrom(whole.name, used, held_out, is_builtin)


def _unknown(name: str, sources: Sequence[Source], given: ContrastSet | None) -> str:
    recorded = ", ".join(f"{one.contrast_set!r} ({one.fingerprint})" for one in sources)
    if given is not None:
        return (
            f"Expected for {name!r} the pairs that it was made from, found {given.name!r} ({given.fingerprint}) where "
            f"its file names {recorded or 'no contrast set'}, so which pairs it has not seen can't be known; pass that "
            "set, or extract it anew."
        )
    problem = f"Expected for every slider a score that it is meant to raise, found none for {name!r}"
    if recorded:
        return f"{problem}; pass its pairs, {recorded}, with --pairs, or measure it as safety or helpfulness."
    return f"{problem}, whose file names no contrast set; extract it anew, or measure it as safety or helpfulness."


def _with_own_answers(lm: LanguageModel, pairs: Sequence[ContrastPair]) -> tuple[ContrastPair, ...]:
    """The negative prompts with the bare model's answers to both sides; not where those are empty or the same."""
    written = _answers(lm, [side for pair in pairs for side in (pair.positive, pair.negative)])
    return tuple(
        pair.model_copy(update={"positive": (*pair.negative, positive), "negative": (*pair.negative, negative)})
        for pair, positive, negative in zip(pairs, written[::2], written[1::2], strict=True)
        if positive.content.strip() and negative.content.strip() and positive != negative
    )


def _answers(lm: LanguageModel, prompts: Sequence[Chat]) -> list[Message]:
    texts = [""] * len(prompts)
    for places in like_lengths([len(lm.tokenize(prompt).ids) for prompt in prompts], TOKENS_PER_BATCH):
        for place, text in zip(places, lm.generate([prompts[place] for place in places], ANSWER_TOKENS), strict=True):
            texts[place] = text
    return [Message(role="assistant", content=split_reasoning(text).answer) for text in texts]
