"""Examples for control tokens: the model's own answers, and the levels that our readings of them come to.

After Tuan et al. 2024 (arXiv 2404.01295): no human labels, the model's samples are scored and each score is told to the
model in front of the prompt. The paper's own wording of control tokens and its binning weren't to be had; here a level
is a fifth of all answers by rank, and control tokens are plain text.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, ValidationError, model_validator
from typing_extensions import Self

from probes.answers import Decoding
from probes.baselines import Scorer, candidates
from steering import LanguageModel
from steering.atomic_write import atomic_write
from steering.data.chats import first_problem
from steering.errors import SteeringError, first_line
from steering.models.reasoning import split_reasoning

LEVELS = 5
"""0 is the lowest fifth of the answers, 4 the highest."""


class ControlExample(BaseModel, frozen=True, extra="forbid"):
    """An answer, and the level of each attribute that it has."""

    prompt: str
    answer: str
    levels: dict[str, Annotated[int, Field(ge=0, lt=LEVELS)]]


class ControlData(BaseModel, frozen=True, extra="forbid"):
    """Examples with the same attributes, and what scored them."""

    examples: Annotated[tuple[ControlExample, ...], Field(min_length=1)]
    scored_by: str
    """Stands for the scorers in records."""

    @model_validator(mode="after")
    def _same_attributes(self) -> Self:
        if any(example.levels.keys() != self.examples[0].levels.keys() for example in self.examples):
            raise ValueError("expected levels of the same attributes in every example, found others")
        return self

    @property
    def attributes(self) -> tuple[str, ...]:
        """In the order of their control tokens."""
        return tuple(self.examples[0].levels)

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all.

        Args:
            path: the file to create or to replace.
        """
        with atomic_write(path) as temporary:
            temporary.write_text(self.model_dump_json(), encoding="utf-8")

    @staticmethod
    def load(path: str | Path) -> "ControlData":
        """Read what `save` wrote.

        Args:
            path: the file.

        Raises:
            SteeringError: for any other file.
        """
        try:
            return ControlData.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = first_problem(error) if isinstance(error, ValidationError) else first_line(error)
            raise SteeringError(f"{str(path)!r} holds no control data ({reason}); make it again.") from error


def controlled(prompt: str, levels: Mapping[str, int]) -> str:
    """The prompt behind its control tokens.

    Args:
        prompt: the user's text.
        levels: from 0 to `LEVELS - 1`, by attribute.

    Example:
        >>> controlled("Hi", {"safety": 4, "helpfulness": 0})
        '[safety=4][helpfulness=0] Hi'
    """
    return "".join(f"[{name}={level}]" for name, level in levels.items()) + f" {prompt}"


def self_generated(
    lm: LanguageModel,
    prompts: Sequence[str],
    scorers: Mapping[str, Scorer],
    scored_by: str,
    *,
    n: int = 4,
    decoding: Decoding | None = None,
    seed: int = 0,
) -> ControlData:
    """Sample answers, score them, and turn each attribute's scores into levels by their rank among all answers.

    Args:
        lm: the model, bare.
        prompts: harmful ones, look-alikes and ordinary ones, so that scores spread.
        scorers: by attribute, such as `probe_scorer`; never report by them.
        scored_by: their names, for the record.
        n: samples of each prompt.
        decoding: how they are written.
        seed: of the samples.

    Returns:
        An example for every sample that has an answer.

    Raises:
        SteeringError: where there are fewer answers than ten for each level, or an attribute doesn't tell them apart.
    """
    sampled = candidates(lm, prompts, scorers, n, decoding or Decoding(), seed)
    answers = [
        (prompt, split_reasoning(text).answer)
        for prompt, texts in zip(prompts, sampled.answers, strict=True)
        for text in texts
    ]
    if len(answers) < 10 * LEVELS:
        raise SteeringError(f"Expected {10 * LEVELS} answers at least, found {len(answers)}; give more prompts.")
    levels = {}
    for name, rows in sampled.scores.items():
        scores = np.array([score for row in rows for score in row])
        edges = np.quantile(scores, np.arange(1, LEVELS) / LEVELS)
        if len(set(edges)) < LEVELS - 1:
            raise SteeringError(f"The scores of {name!r} tie too often for {LEVELS} levels; use another scorer.")
        levels[name] = np.searchsorted(edges, scores, side="right")
    return ControlData(
        examples=tuple(
            ControlExample(prompt=prompt, answer=text, levels={name: int(found[at]) for name, found in levels.items()})
            for at, (prompt, text) in enumerate(answers)
        ),
        scored_by=scored_by,
    )
