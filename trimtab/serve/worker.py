"""The one thread that owns the model: who waits for it, whom it writes for, and how it ends.

It goes round by round. Before each, as many of the waiting as fit join those that are being written for. What a round
is, and who fits, is the engine's: see `transformers_worker` and `llama_cpp_worker`.
"""

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from threading import Condition, Thread

from typing_extensions import Self

from steering.errors import SteeringError
from steering.explore.token_readings import axis_readout
from steering.models.language_model import LanguageModel
from steering.sliders import Sliders
from trimtab.serve.answer import Answer, Ending
from trimtab.serve.limits import Limits, context_length
from trimtab.serve.stop_rule import StopRule
from trimtab.serve.watch import Watch

logger = logging.getLogger(__name__)


class QueueFullError(SteeringError):
    """As many requests wait as may."""


class ShutDownError(SteeringError):
    """The worker takes no more answers."""


class Worker(ABC):
    """A model with its sliders, and the answers that it writes. Start it as a context manager."""

    def __init__(self, lm: LanguageModel, sliders: Sliders, limits: Limits) -> None:
        self.lm = lm
        self.sliders = sliders
        self.limits = limits
        self.writing: list[Answer] = []
        """Answers of the round under way."""
        self.waiting: deque[Answer] = deque()
        self._changed = Condition()  # guards `waiting`, `writing` and `closing`
        self.closing = False
        self._thread = Thread(target=self._work, name="trimtab-worker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop at the next token; answers under way end with `ShutDownError`."""
        with self._changed:
            self.closing = True
            self._changed.notify()
        self._thread.join()

    @property
    def context_length(self) -> int | None:
        """Tokens of the longest prompt with its answer; None where the model doesn't say."""
        return context_length(self.lm)

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens with which the model ends an answer."""
        ends = self.lm.model.generation_config.eos_token_id
        return frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])

    def watch(self, axes: Iterable[str], rules: Mapping[str, StopRule], shows: bool, harm: float | None) -> Watch:
        """What reads these axes in an answer, and ends it by rules.

        Args:
            axes: those that are read.
            rules: by axis.
            shows: whether the client is to be told.
            harm: the client's own probability that the prompt is harmful.
        """
        readouts = {axis: axis_readout(self.sliders[axis]) for axis in axes}
        return Watch(self.sliders, readouts, rules, shows, self.lm.tokenizer, harm)

    def submit(self, answer: Answer) -> None:
        """Have the answer written. Raises QueueFullError or ShutDownError."""
        with self._changed:
            if self.closing:
                raise ShutDownError("The server is shutting down; try again when it is back.")
            if len(self.waiting) >= self.limits.waiting:
                raise QueueFullError(f"{len(self.waiting)} requests are waiting already; try again in a moment.")
            self.waiting.append(answer)
            self._changed.notify()

    def cancel(self, answer: Answer) -> None:
        """Free the answer's row at the next token, or its place among the waiting at once."""
        with self._changed:
            answer.cancelled = True
            if answer in self.waiting:
                self.waiting.remove(answer)
                answer.end(Ending("cancelled"))

    @abstractmethod
    def fit(self, answers: Sequence[Answer]) -> bool:
        """Whether there is room for all of these together."""

    @abstractmethod
    def write(self, answers: Sequence[Answer]) -> None:
        """Write on at these answers for one round. An answer that fails is ended with its problem, the others go on."""

    def fail(self, answer: Answer, error: Exception) -> None:
        """End an answer that can't go on."""
        if not isinstance(error, SteeringError):
            logger.warning("An answer failed.", exc_info=error)
        answer.end(Ending("failed", error.with_traceback(None)))

    def _work(self) -> None:
        while answers := self._next_round():
            try:
                self.write(answers)
            except Exception as error:  # else the thread would end, and clients wait for ever
                for answer in answers:
                    if not answer.ending:
                        self.fail(answer, error)
            with self._changed:
                self.writing = [answer for answer in answers if not answer.ending]
            del answers  # a finished answer is not kept while the thread waits
        for answer in [*self.writing, *self.waiting]:
            answer.end(Ending("failed", ShutDownError("The server is shutting down; try again when it is back.")))

    def _next_round(self) -> list[Answer]:
        """The answers that go on and as many of the waiting as fit; none when the worker is to close."""
        with self._changed:
            self._changed.wait_for(lambda: self.waiting or self.writing or self.closing)
            if self.closing:
                return []
            while self.waiting and self.fit([*self.writing, self.waiting[0]]):
                self.writing.append(self.waiting.popleft())
            return list(self.writing)
