"""What a slider of one's own is meant to raise: every contrast set gives a score of its pairs."""

from collections.abc import Iterable, Mapping, Sequence

from probes.grid_scores import BUILTIN_OWN, Score, own_score
from probes.scores import preference_margin
from steering import ContrastPair, ContrastSet, LanguageModel, Sliders
from steering.scoring.own_pairs import MadeFrom, made_from, own_pairs


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
    found = own_pairs(lm, pairs, slider)
    return Score(found.name, found.pairs, preference_margin, slider)


def score_of_set(lm: LanguageModel, made: MadeFrom, pairs: Sequence[ContrastPair], slider: str) -> Score:
    """The score of the set that a slider was made from, on pairs of it."""
    if made.is_builtin and made.name in BUILTIN_OWN:
        return own_score(made.name, pairs, slider)
    return contrast_score(lm, pairs, slider)


def scores_of_axes(
    lm: LanguageModel, sliders: Sliders, axes: Iterable[str], pairs: Mapping[str, ContrastSet], count: int
) -> list[Score]:
    """The score of each axis' own set, on at most `count` pairs that the vector has not seen."""
    found = {axis: made_from(sliders[axis], axis, pairs.get(axis)) for axis in axes}
    return [score_of_set(lm, made, made.held_out.spread(count), axis) for axis, made in found.items()]
