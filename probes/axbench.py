"""AxBench's steering score of an axis: answers at several slider values, rated for concept, instruction and fluency.

As there (Wu et al. 2025, arXiv 2501.17148), the best value is chosen on half of the prompts and reported on the other.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel

from probes.answers import Decoding
from probes.intervals import Estimate
from probes.intervals import mean_with_interval as mean
from probes.judges.axbench import AxBenchRater, AxBenchRating
from probes.methods import Method, SliderMethod
from steering import LanguageModel, Sliders
from steering.errors import SteeringError


class AxBenchScores(BaseModel, frozen=True, extra="forbid"):
    """Ratings of the answers to the same prompts at every value of one axis."""

    axis: str
    concept: str
    rater: str
    prompts: tuple[str, ...]
    ratings: dict[float, tuple[AxBenchRating, ...]]
    """`[value][prompt]`."""
    answers: dict[float, tuple[str, ...]]
    """`[value][prompt]`."""

    def score(self, value: float) -> Estimate:
        """Mean score over all prompts at a value, 0 to 2, with its 95 % interval.

        Args:
            value: one of the values that were measured.
        """
        return mean(np.array([rating.score for rating in self.ratings[value]]))

    @property
    def best(self) -> float:
        """The value with the highest mean score on every other prompt, the smallest move where several have it."""
        means = {value: np.mean([one.score for one in ratings[::2]]) for value, ratings in self.ratings.items()}
        return max(sorted(means, key=abs), key=lambda value: means[value])

    @property
    def held_out(self) -> Estimate:
        """Mean score at the best value on the prompts that did not choose it: AxBench's figure."""
        return mean(np.array([rating.score for rating in self.ratings[self.best][1::2]]))


def axbench_scores(
    lm: LanguageModel,
    method: Sliders | Method,
    axis: str,
    concept: str,
    values: Sequence[float],
    prompts: Sequence[str],
    rater: AxBenchRater,
    decoding: Decoding | None = None,
) -> AxBenchScores:
    """Answer prompts at values of an axis of yours, and have the answers rated.

    Args:
        lm: the model.
        method: sliders, or a baseline such as `Prompting()`.
        axis: the one that is moved.
        concept: what it should bring into answers, in words: "polite language".
        values: those tried; the best is chosen among them.
        prompts: ordinary ones, 4 at least; AxBench takes them from AlpacaEval.
        rater: the endpoint.
        decoding: greedy, 128 tokens, unless given; AxBench samples at temperature 1.

    Returns:
        All ratings and answers.

    Raises:
        SteeringError: for an unknown axis, too few prompts or no value, and where the endpoint gives no rating.

    Example:
        >>> from probes import AxBenchRater, axbench_scores
        >>> rater = AxBenchRater("http://localhost:8000/v1", "Qwen/Qwen3-8B")
        >>> found = axbench_scores(  # doctest: +SKIP
        ...     lm, sliders, "manners", "polite language", [0.5, 1, 2], prompts, rater
        ... )
        >>> print(found.best, found.held_out)  # doctest: +SKIP
        1.0 +1.21 [+0.93, +1.47]
    """
    if isinstance(method, Sliders):
        method = SliderMethod(method)
    if axis not in method.axes:
        raise SteeringError(f"There is no axis {axis!r}; the axes are {', '.join(map(repr, method.axes))}.")
    if len(prompts) < 4 or not values:
        raise SteeringError(
            f"Expected a value and 4 prompts at least, found {len(values)} and {len(prompts)}; half of them choose."
        )
    decoding = decoding or Decoding(max_new_tokens=128)
    seed = decoding.runs[0]
    answers = {
        float(value): method.answers(lm, prompts, {axis: float(value)}, decoding, seed).texts for value in values
    }
    ratings = {
        value: tuple(rater.rate(concept, prompt, text) for prompt, text in zip(prompts, texts, strict=True))
        for value, texts in answers.items()
    }
    return AxBenchScores(
        axis=axis, concept=concept, rater=rater.model, prompts=tuple(prompts), ratings=ratings, answers=answers
    )
