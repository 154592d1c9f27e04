"""What a slider of one's own is meant to raise: every contrast set gives a score of its pairs.

It is measured on pairs that did not make the vector. Which those are stands in the vector's record: the set's
fingerprint, and how many of its pairs `extract` held out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from probes.answers import Decoding, answer
from probes.grid_scores import BUILTIN_OWN, Score, own_score
from probes.scores import preference_margin
from steering import ContrastPair, ContrastSet, LanguageModel, Slider, Sliders
from steering.data.chats import Message
from steering.errors import SteeringError
from steering.models.reasoning import split_reasoning
from steering.vectors.provenance import Source

FEWEST = 4
"""Pairs of a score: of twenty, `extract` holds out four."""
ANSWER_TOKENS = 24
"""Length of the model's own answers to pairs of prompts."""


def contrast_score(lm: LanguageModel, pairs: Sequence[ContrastPair], slider: str) -> Score:
    """The score that a slider made from such pairs is meant to raise, in nats a token; no judge is asked.

    For pairs that end with answers: how much likelier the model finds the positive answer than the negative one, by
    teacher forcing. For pairs of prompts the model first answers both sides as it is (greedily, 24 tokens). The score
    is how much likelier it then finds, asked the negative prompt, its own answer to the positive prompt than that to
    the negative one: whether it answers as though it had been asked the positive prompt.

    Args:
        lm: the model, without attached sliders.
        pairs: at least 4 that did not make the slider's vector, such as `contrast_set.split()[1]`.
        slider: name of the slider that is meant to raise it.

    Returns:
        The score, for `evaluate` or `calibrate`.

    Raises:
        SteeringError: for fewer than 4 pairs, and where the model answers both sides of too many pairs alike.

    Example:
        >>> from probes import contrast_score
        >>> contrast_score(lm, ContrastSet.builtin("helpfulness")[:4], "engagement").name
        'engagement: positive over negative answers'
    """
    if len(pairs) < FEWEST:
        raise SteeringError(
            f"Expected at least {FEWEST} pairs to measure {slider!r} on, found {len(pairs)}; write more, "
            f"{5 * FEWEST} in all: `extract` holds out a fifth."
        )
    if pairs[0].positive[-1].role == "assistant":
        return Score(f"{slider}: positive over negative answers", list(pairs), preference_margin, slider)
    answered = _with_own_answers(lm, pairs)
    if len(answered) < FEWEST:
        raise SteeringError(
            f"Expected at least {FEWEST} pairs whose prompts the model answers differently, to measure {slider!r} on, "
            f"found {len(answered)} of {len(pairs)}; use more pairs of prompts, or pairs of answers."
        )
    return Score(f"{slider}: own answers to positive over negative prompts", answered, preference_margin, slider)


@dataclass(frozen=True)
class MadeFrom:
    """The contrast set that a slider's vector was made from, in its two parts."""

    name: str
    used: ContrastSet
    held_out: ContrastSet
    is_builtin: bool

    def score(self, lm: LanguageModel, pairs: Sequence[ContrastPair], slider: str) -> Score:
        """The set's score, on pairs of it."""
        if self.is_builtin and self.name in BUILTIN_OWN:
            return own_score(self.name, pairs, slider)
        return contrast_score(lm, pairs, slider)


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


def scores_of_axes(
    lm: LanguageModel, sliders: Sliders, axes: Iterable[str], pairs: Mapping[str, ContrastSet], count: int
) -> list[Score]:
    """The score of each axis' own set, on at most `count` pairs that the vector has not seen."""
    found = {axis: made_from(sliders[axis], axis, pairs.get(axis)) for axis in axes}
    return [one.score(lm, one.held_out.spread(count), axis) for axis, one in found.items()]


def _with_own_answers(lm: LanguageModel, pairs: Sequence[ContrastPair]) -> list[ContrastPair]:
    """The negative prompts with the bare model's answers to both sides; not where those are empty or the same."""
    sides = [side for pair in pairs for side in (pair.positive, pair.negative)]
    written = answer(lm, sides, Decoding(max_new_tokens=ANSWER_TOKENS), seed=None).texts
    answers = [Message(role="assistant", content=split_reasoning(text).answer) for text in written]
    return [
        pair.model_copy(update={"positive": (*pair.negative, positive), "negative": (*pair.negative, negative)})
        for pair, positive, negative in zip(pairs, answers[::2], answers[1::2], strict=True)
        if positive.content.strip() and negative.content.strip() and positive != negative
    ]
