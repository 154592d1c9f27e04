"""AxBench's ratings by a model behind an endpoint: does an answer show a concept, keep to its prompt, read well?"""

import re
from dataclasses import dataclass

from pydantic import BaseModel, Field

from probes.judges.chat_endpoint import LONGEST_QUOTE, ChatEndpoint
from probes.judges.text import prompt_file, shortened
from steering.errors import SteeringError
from steering.models.reasoning import split_reasoning

QUESTIONS = {name: prompt_file(f"axbench-{name}") for name in ("concept", "instruction", "fluency")}
"""Wu et al. 2025, arXiv 2501.17148: github.com/stanfordnlp/axbench (Apache-2.0), evaluators/prompt_templates.py."""
_RATING = re.compile(r"Rating:[\s*\"'\[]*([012])(?:\.0)?(?!\.?\d)")


class AxBenchRating(BaseModel, frozen=True, extra="forbid"):
    """Three ratings of one answer, each 0, 1 or 2.

    Example:
        >>> AxBenchRating(concept=2, instruction=2, fluency=1).score
        1.5
    """

    concept: int = Field(ge=0, le=2)
    """Whether the answer shows the concept."""
    instruction: int = Field(ge=0, le=2)
    """Whether it is about what was asked."""
    fluency: int = Field(ge=0, le=2)
    """Whether it reads well."""

    @property
    def score(self) -> float:
        """Harmonic mean of the three, 0 to 2; 0 where one of them is."""
        ratings = (self.concept, self.instruction, self.fluency)
        return 3 / sum(1 / rating for rating in ratings) if all(ratings) else 0.0


@dataclass(frozen=True)
class AxBenchRater(ChatEndpoint):
    """Rates answers by asking a model AxBench's three questions, each in a chat of its own.

    A text that ends inside the model's thought has no answer: all its ratings are 0. A reply without a rating raises
    SteeringError for that answer, where AxBench's own code counts it as 0.

    Raises:
        SteeringError: for a base URL that is none, or that holds a key.

    Example:
        >>> AxBenchRater("http://localhost:8000/v1", "Qwen/Qwen3-8B").model
        'Qwen/Qwen3-8B'
    """

    def rate(self, concept: str, prompt: str, answer: str) -> AxBenchRating:
        """The three ratings of an answer.

        Args:
            concept: what the answer should show, in words: "polite language".
            prompt: what was asked.
            answer: what the model wrote, its thought included where it has one.

        Raises:
            SteeringError: when the endpoint can't be reached, refuses the key or the request, or gives no rating.
        """
        response = split_reasoning(answer)
        if not response.closed or not response.answer.strip():
            return AxBenchRating(concept=0, instruction=0, fluency=0)
        texts = {"{concept}": concept, "{instruction}": prompt, "{sentence}": response.answer}
        return AxBenchRating(**{name: self._rating(question, texts) for name, question in QUESTIONS.items()})

    def _rating(self, question: str, texts: dict[str, str]) -> int:
        # Replaced at once, as each text may hold another's place.
        asked = re.sub("|".join(map(re.escape, texts)), lambda place: texts[place[0]], question)
        reply = self.without_key(self.ask([{"role": "user", "content": asked}]))
        found = _RATING.findall(reply)
        if not found:
            raise SteeringError(
                f"Expected 'Rating: [[0]]', [[1]] or [[2]] from {self.model!r} at {self.base_url}, "
                f"found {shortened(reply, LONGEST_QUOTE)!r}; use a model that follows the instructions."
            )
        return int(found[-1])
