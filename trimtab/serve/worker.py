"""The one thread that owns the model: it writes all answers under way together, a row each with its own sliders.

It works in rounds: one call of transformers' `generate` on every answer's tokens so far, left-padded. When others wait
for a row, or half of the rows have ended, the round gives way to the next, which reads the tokens of those that go on
anew; but not before it has written for as long as its reading took, so at least half of the time goes into writing.
Only tokens are kept between rounds: every cache, choice of tokens and gate that works under `generate` works here.
"""

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from threading import Condition, Thread
from time import monotonic
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from steering.errors import SteeringError
from steering.models.batching import pad
from steering.models.language_model import LanguageModel
from steering.sliders import Sliders
from trimtab.serve.answer import Answer, Ending
from trimtab.serve.limits import Limits

logger = logging.getLogger(__name__)


class QueueFullError(SteeringError):
    """As many requests wait as may."""


class ShutDownError(SteeringError):
    """The worker takes no more answers."""


class Worker:
    """A model with its sliders attached, and the answers that it writes. Start it as a context manager."""

    def __init__(
        self,
        lm: LanguageModel,
        sliders: Sliders,
        limits: Limits | None = None,
        tokens: str | None = None,
        allow_mismatch: Iterable[str] = (),
    ) -> None:
        self.lm = lm
        self.sliders = sliders
        self.limits = limits or Limits()
        self.writing: list[Answer] = []
        """Answers of the round under way."""
        self.waiting: deque[Answer] = deque()
        self._dial = sliders.attach(lm, tokens=tokens, allow_mismatch=allow_mismatch)
        self._changed = Condition()  # guards `waiting`, `writing` and `closing`
        self.closing = False
        self._thread = Thread(target=self._work, name="trimtab-worker", daemon=True)

    def __enter__(self) -> "Worker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop at the next token; answers under way end with `ShutDownError`."""
        with self._changed:
            self.closing = True
            self._changed.notify()
        self._thread.join()
        self._dial.detach()

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens with which the model ends an answer."""
        ends = self.lm.model.generation_config.eos_token_id
        return frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])

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

    def _work(self) -> None:
        while answers := self._next_round():
            self._round(answers)
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
            while self.waiting and self._fit([*self.writing, self.waiting[0]]):
                self.writing.append(self.waiting.popleft())
            return list(self.writing)

    def _fit(self, answers: Sequence[Answer]) -> bool:
        rows, width = len(answers), max(answer.final_length for answer in answers)
        return rows == 1 or (rows <= self.limits.rows and rows * width <= self.limits.batch_tokens)

    def gives_way(self, answers: Sequence[Answer]) -> bool:
        """Whether the round of these answers should end for the next."""
        left = [answer for answer in answers if not answer.ending]
        with self._changed:
            return 2 * len(left) <= len(answers) or bool(self.waiting and self._fit([*left, self.waiting[0]]))

    def _round(self, answers: Sequence[Answer]) -> None:
        """Write on; where that fails, each answer alone, so that only those fail that are at fault."""
        try:
            return self._write(answers)
        except Exception as error:
            if len(answers) == 1:
                if not isinstance(error, SteeringError):
                    logger.warning("An answer failed.", exc_info=error)
                return answers[0].end(Ending("failed", error.with_traceback(None)))
        for answer in answers:  # after the handler, whose traceback keeps the failed batch's tensors
            if not answer.ending:
                self._round([answer])

    def _write(self, answers: Sequence[Answer]) -> None:
        lm = self.lm
        rows = [answer.tokens for answer in answers]
        ids, mask = pad(rows, lm.padding_id, lm.input_device, side="left")
        # Padded with a token of its own, a row has the same repetition penalties as alone.
        ids = torch.where(mask.bool(), ids, torch.tensor([row[:1] for row in rows], device=ids.device))
        values = {axis: [answer.steering[axis] for answer in answers] for axis in self.sliders.axes}
        self._dial.set(harm=[answer.harm for answer in answers], **values)
        greedy: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        with self._dial.prompt_lengths([answer.prompt_length for answer in answers]):
            lm.model.generate(  # type: ignore[operator]
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max(answer.final_length - len(answer.tokens) for answer in answers),
                pad_token_id=lm.padding_id,
                logits_processor=LogitsProcessorList([_Samples(answers)]),
                stopping_criteria=StoppingCriteriaList([_Writes(self, answers)]),
                **greedy,
            )


class _Samples(LogitsProcessor):
    """Leaves only the drawn token to the rows that sample, so that taking the likeliest takes it."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = answers

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.clone()
        for row, answer in enumerate(self._answers):
            token = None if answer.ending else answer.sample(scores[row])
            if token is not None:
                scores[row] = -torch.inf
                scores[row, token] = 0.0
        return scores


class _Writes(StoppingCriteria):
    """Hands every row's new token to its answer, and ends the rows that are done, or the round."""

    def __init__(self, worker: Worker, answers: Sequence[Answer]) -> None:
        self._worker = worker
        self._answers = answers
        self._begun = monotonic()
        self._read: float | None = None
        self._over = False

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        if not self._over:  # some devices run a step more than they are told to
            for answer, token in zip(self._answers, input_ids[:, -1].tolist(), strict=True):
                if not answer.ending:
                    answer.write(token)
            now = monotonic()
            self._read = self._read or now
            repaid = now - self._read >= self._read - self._begun
            self._over = self._worker.closing or (repaid and self._worker.gives_way(self._answers))
        return torch.tensor([self._over or bool(answer.ending) for answer in self._answers], device=input_ids.device)
