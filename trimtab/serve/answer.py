"""One answer under way: its sliders, how its tokens are chosen, what has been written, and when it ends."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

from steering.errors import SteeringError
from trimtab.serve.answer_text import AnswerText
from trimtab.serve.watch import Fulfilled, Seen, Watch

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
    """Why an answer ended: `stop` for the model's end token or a stop string, `length` for its token limit,
    `stop_when` for a rule that a reading fulfilled.
    """

    reason: Literal["stop", "length", "stop_when", "cancelled", "failed"]
    problem: Exception | None = None
    fulfilled: Fulfilled | None = None


Piece: TypeAlias = str | Seen | Ending
"""What an answer hands out: texts and what was read of its tokens, then how it ended."""


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
        watch: Watch | None = None,
    ) -> None:
        self.tokens = list(prompt)
        """The prompt and what has been written."""
        self.prompt_length = len(prompt)
        self.steering = steering
        self.harm = harm
        """The client's own probability that the prompt is harmful; None where gates are to read it."""
        self.watch = watch
        """What reads its tokens; None where nobody asked."""
        self.ending: Ending | None = None
        self._last: Ending | None = None  # how it ends when its last token has been read
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

    @property
    def steps_left(self) -> int:
        """Number of passes until it is whole, if it goes on to its limit: one more where its last token is read."""
        return self.final_length - len(self.tokens) + (self.watch is not None)

    def sample(self, scores: Float[Tensor, " vocabulary"]) -> int | None:
        """The next token, drawn on the CPU from the answer's own generator; None where the likeliest is taken.

        Raises SteeringError for scores of which none is the likeliest.
        """
        if not scores.max().isfinite():
            raise SteeringError("Expected finite logits, found overflow; ask for slider values nearer to 0.")
        if self._generator is None:
            return None
        probabilities = self._warpers(torch.empty(0), scores.cpu().unsqueeze(0)).softmax(-1)  # type: ignore[arg-type]
        return int(torch.multinomial(probabilities, 1, generator=self._generator))

    def write(self, token: int) -> None:
        """Take the next token, hand out its text, and end if it was the last."""
        if self.cancelled:
            return self.end(Ending("cancelled"))
        if self.watch is not None and (ending := self._look(self.watch)):
            return self.end(ending)
        self.tokens.append(token)
        is_end = token in self._end_tokens
        self._hand_out("" if is_end else self._text.add(token))
        if is_end:
            self.end(Ending("stop"))
        elif self._text.stopped or self.written == self._max_tokens:
            ending = Ending("stop" if self._text.stopped else "length")
            if self.watch is None:
                self.end(ending)
            else:
                self._last = ending

    def end(self, ending: Ending) -> None:
        """Hand out what was held back, and the ending."""
        self._hand_out(self._text.finish())
        self.ending = Ending("stop") if self._text.stopped and ending.reason == "length" else ending
        self._emit(self.ending)

    def _look(self, watch: Watch) -> Ending | None:
        """Hand out what has been read of the tokens so far; the ending that follows from it, or that waited for it."""
        try:
            seen = watch.look(self.tokens, self.prompt_length)
        except SteeringError as error:
            return Ending("failed", error)
        if watch.shows:
            self._emit(seen)
        return Ending("stop_when", fulfilled=seen.fulfilled) if seen.fulfilled else self._last

    def _hand_out(self, text: str) -> None:
        if text:
            self._emit(text)
