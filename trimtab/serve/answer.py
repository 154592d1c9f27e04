"""One answer under way: its sliders, how its tokens are chosen, what has been written, and when it ends."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

from trimtab.serve.answer_text import AnswerText

GREEDY_BELOW = 0.01
"""Temperatures so small that only rounding would choose otherwise: the likeliest token is taken."""


@dataclass(frozen=True)
class Decoding:
    """How an answer's tokens are chosen, and where it ends."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    """The same seed, prompt and sliders give the same answer, whoever else is served; not on weights packed for
    llama.cpp, whose logits change a little with the number of tokens that run together."""
    stop: Sequence[str] = ()
    """Strings that end the answer and don't appear in it."""


@dataclass(frozen=True)
class Ending:
    """Why an answer ended: `stop` for the model's end token or a stop string, `length` for its token limit."""

    reason: Literal["stop", "length", "cancelled", "failed"]
    problem: Exception | None = None


Piece: TypeAlias = str | Ending
"""What an answer hands out: texts, then how it ended."""


class Answer:
    """A row of the worker's batches from one round to the next. Its own thread asks for it, the worker's writes it."""

    def __init__(
        self,
        prompt: Sequence[int],
        steering: Mapping[str, float],
        decoding: Decoding,
        text: AnswerText,
        end_tokens: Collection[int],
        emit: Callable[[Piece], None],
        harm: float | None = None,
    ) -> None:
        self.tokens = list(prompt)
        """The prompt and what has been written."""
        self.prompt_length = len(prompt)
        self.steering = steering
        self.harm = harm
        """The client's own probability that the prompt is harmful; None where gates are to read it."""
        self.ending: Ending | None = None
        self.cancelled = False
        """Set by whoever no longer wants it; the worker then ends it at the next token."""
        self._max_tokens = decoding.max_tokens
        self._text = text
        self._end_tokens = end_tokens
        self._emit = emit
        self._warpers = LogitsProcessorList()
        self._generator: torch.Generator | None = None
        if decoding.temperature >= GREEDY_BELOW:
            self._warpers += [TemperatureLogitsWarper(decoding.temperature), TopPLogitsWarper(decoding.top_p)]
            self._generator = torch.Generator()
            self._generator.seed() if decoding.seed is None else self._generator.manual_seed(decoding.seed)

    @property
    def written(self) -> int:
        """Number of tokens written so far, the end token among them."""
        return len(self.tokens) - self.prompt_length

    @property
    def final_length(self) -> int:
        """Number of tokens with the prompt's, if it goes on to its limit."""
        return self.prompt_length + self._max_tokens

    def sample(self, scores: Float[Tensor, " vocabulary"]) -> int | None:
        """The next token, drawn on the CPU from the answer's own generator; None where the likeliest is taken."""
        if self._generator is None:
            return None
        probabilities = self._warpers(torch.empty(0), scores.cpu().unsqueeze(0)).softmax(-1)  # type: ignore[arg-type]
        return int(torch.multinomial(probabilities, 1, generator=self._generator))

    def write(self, token: int) -> None:
        """Take the next token, hand out its text, and end if it was the last."""
        if self.cancelled:
            return self.end(Ending("cancelled"))
        self.tokens.append(token)
        is_end = token in self._end_tokens
        self._hand_out("" if is_end else self._text.add(token))
        if is_end or self._text.stopped:
            self.end(Ending("stop"))
        elif self.written == self._max_tokens:
            self.end(Ending("length"))

    def end(self, ending: Ending) -> None:
        """Hand out what was held back, and the ending."""
        self._hand_out(self._text.finish())
        self.ending = Ending("stop") if self._text.stopped and ending.problem is None else ending
        self._emit(self.ending)

    def _hand_out(self, text: str) -> None:
        if text:
            self._emit(text)
