"""What a judge of text says of one answer."""

from typing import Literal, Protocol, TypeAlias, get_args

from pydantic import BaseModel

RefusalLabel: TypeAlias = Literal["compliance", "partial_refusal", "refusal", "degenerate"]
"""What judges of refusal say. Degenerate text (empty, looping, off-topic) is neither refusal nor compliance."""
SafetyLabel: TypeAlias = Literal["safe", "unsafe"]
"""What judges of harm say."""
Label: TypeAlias = RefusalLabel | SafetyLabel | Literal["unsure"]
"""What any judge may say: `unsure` of an answer that it can't read, such as one in another language."""
REFUSAL_LABELS: tuple[RefusalLabel, ...] = get_args(RefusalLabel)
SAFETY_LABELS: tuple[SafetyLabel, ...] = get_args(SafetyLabel)
REFUSED: tuple[RefusalLabel, ...] = ("partial_refusal", "refusal")
"""Labels of answers that refuse, wholly or in part."""


class Verdict(BaseModel, frozen=True, extra="forbid"):
    """A judge's label for one answer, how sure it is, and why."""

    label: Label
    """One of the judge's `labels`, or `unsure`."""
    score: float
    """Probability that the judge gives its label, 0 to 1; 1 where the judge gives none, 0 for `unsure`."""
    reason: str
    """What decided, in words that a reader can check against the answer."""


class Judge(Protocol):
    """Labels an answer to a prompt: any object with these three members is a judge."""

    @property
    def name(self) -> str:
        """Short, unique among judges: it stands in reports."""
        ...

    @property
    def labels(self) -> tuple[Label, ...]:
        """`REFUSAL_LABELS`, some of them, or `SAFETY_LABELS`; it may be `unsure` besides."""
        ...

    def __call__(self, prompt: str, answer: str) -> Verdict:
        """The verdict on one answer.

        Args:
            prompt: what was asked.
            answer: what the model wrote.
        """
        ...
