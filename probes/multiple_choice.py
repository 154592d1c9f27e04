"""Questions with options, by the likelihood of each option's first token: no text is generated and no judge asked."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from pydantic import BaseModel, model_validator
from torch import Tensor
from typing_extensions import Self

from steering import Dial, LanguageModel
from steering.data.chats import as_chat
from steering.errors import SteeringError, quoted
from steering.scoring.next_token import next_token_log_probabilities


class ChoiceQuestion(BaseModel, frozen=True, extra="forbid"):
    """A question whose text ends with its options."""

    text: str
    right: str
    """What the right answer begins with: a letter, or a word such as Yes."""
    wrong: tuple[str, ...]
    """What the others begin with."""

    @model_validator(mode="after")
    def _are_apart(self) -> Self:
        if not self.text.strip() or not self.wrong or self.right in self.wrong:
            raise ValueError(f"expected one right option besides others, found {self.right!r} and {self.wrong!r}")
        return self


def chooses_right(
    lm: LanguageModel, questions: Sequence[ChoiceQuestion], _dial: Dial | None = None
) -> Float[Tensor, " questions"]:
    """1 where the right option's first token is likelier than every other option's, else 0.

    Options are tokenized behind the model's own template; one that it may begin in several ways counts by the
    likeliest.

    Args:
        lm: the model; an attached dial is in force.
        questions: the questions.

    Returns:
        A tensor (questions,) in float32 on the CPU.

    Raises:
        SteeringError: for an option without a token, and where the first doesn't tell the options apart.

    Example:
        >>> question = ChoiceQuestion(text="Two and two?\\nA. 4\\nB. 5", right="A", wrong=("B",))
        >>> chooses_right(lm, [question]).shape
        torch.Size([1])
    """
    tokens = {option: _first_tokens(lm, option) for one in questions for option in (one.right, *one.wrong)}
    if silent := [option for option, found in tokens.items() if not found]:
        raise SteeringError(f"The options {quoted(silent)} have no token of their own; name them by letters or words.")
    for question in questions:
        if same := [option for option in question.wrong if tokens[option] & tokens[question.right]]:
            raise SteeringError(
                f"The options {quoted((question.right, *same))} begin with the same token in {lm.identity.name!r}; "
                "name them by letters."
            )
    likelihood = next_token_log_probabilities(lm, [question.text for question in questions])

    def best(row: Tensor, option: str) -> Tensor:
        return row[sorted(tokens[option])].max()

    pairs = zip(questions, likelihood, strict=True)
    right = [best(row, one.right) > max(best(row, option) for option in one.wrong) for one, row in pairs]
    return torch.tensor(right, dtype=torch.float32)


def _first_tokens(lm: LanguageModel, option: str) -> frozenset[int]:
    return frozenset(lm.chats.first_tokens(as_chat("a"), [option, f" {option}"]))
