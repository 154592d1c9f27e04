"""What a judge of text says of one answer."""

from typing import Protocol

from pydantic import BaseModel, ConfigDict

REFUSAL_LABELS = ("compliance", "partial_refusal", "refusal", "degenerate")
"""Labels of judges of refusal. Degenerate text (empty, looping, off-topic) counts as neither refusal nor compliance."""
REFUSED = ("partial_refusal", "refusal")
SAFETY_LABELS = ("safe", "unsafe")
"""Labels of judges of harm."""


class Verdict(BaseModel):
    """A judge's label for one answer, how sure it is, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    """One of the judge's `labels`."""
    score: float
    """Probability that the judge gives its label, 0 to 1; 1 where the judge gives none."""
    reason: str
    """What decided, in words that a reader can check against the answer."""


class Judge(Protocol):
    """Labels an answer to a prompt."""

    @property
    def name(self) -> str:
        """Short, unique among judges: stands in reports."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """`REFUSAL_LABELS`, some of them, or `SAFETY_LABELS`."""
        ...

    def __call__(self, prompt: str, answer: str) -> Verdict:
        """The verdict on one answer."""
        ...
