"""Answers written by transformers, all under way together, a row each with its own sliders.

A round is one call of transformers' `generate` on every answer's tokens so far, left-padded. When others wait
for a row, or half of the rows have ended, the round gives way to the next, which reads the tokens of those that go on
anew; but not before it has written for as long as its reading took, so at least half of the time goes into writing.
Only tokens are kept between rounds: every cache, choice of tokens and gate that works under `generate` works here.
"""

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from steering.models.batching import pad
from steering.models.greedy import greedy_options
from steering.models.language_model import LanguageModel
from steering.sliders import Sliders
from trimtab.serve.answer import Answer
from trimtab.serve.limits import Limits
from trimtab.serve.watched_rows import watched_rows
from trimtab.serve.worker import Worker

BATCH_TOKENS = 65_536
"""Rows times the longest row at most, unless the limits say otherwise."""


class TransformersWorker(Worker):
    """A model of transformers with its sliders attached."""

    def __init__(
        self,
        lm: LanguageModel,
        sliders: Sliders,
        limits: Limits | None = None,
        tokens: str | None = None,
        allow_mismatch: Iterable[str] = (),
    ) -> None:
        super().__init__(lm, sliders, limits or Limits())
        self._dial = sliders.attach(lm, tokens=tokens, allow_mismatch=allow_mismatch)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._dial.detach()

    def fit(self, answers: Sequence[Answer]) -> bool:
        """Whether the rows, as long as the longest will be, stay within the limits; one alone always does."""
        rows, width = len(answers), max(answer.final_length for answer in answers)
        return rows == 1 or (rows <= self.limits.rows and rows * width <= (self.limits.batch_tokens or BATCH_TOKENS))

    def gives_way(self, answers: Sequence[Answer]) -> bool:
        """Whether the round of these answers should end for the next."""
        left = [answer for answer in answers if not answer.ending]
        with self._changed:
            return 2 * len(left) <= len(answers) or bool(self.waiting and self.fit([*left, self.waiting[0]]))

    def write(self, answers: Sequence[Answer]) -> None:
        """Write on; where that fails, each answer alone, so that only those fail that are at fault."""
        try:
            return self._write(answers)
        except Exception as error:
            if len(answers) == 1:
                return self.fail(answers[0], error)
        for answer in answers:  # after the handler, whose traceback keeps the failed batch's tensors
            if not answer.ending:
                self.write([answer])

    def _write(self, answers: Sequence[Answer]) -> None:
        lm = self.lm
        rows = [answer.tokens for answer in answers]
        ids, mask = pad(rows, lm.padding_id, lm.input_device, side="left")
        values = {axis: [answer.steering[axis] for answer in answers] for axis in self.sliders.axes}
        self._dial.set(harm=[answer.harm for answer in answers], **values)
        lengths = [answer.prompt_length for answer in answers]
        longest = max(answer.steps_left for answer in answers)
        with self._dial.prompt_lengths(lengths), watched_rows(lm, answers):
            lm.model.generate(  # type: ignore[operator]
                input_ids=ids,
                attention_mask=mask,
                logits_processor=LogitsProcessorList([_Samples(answers)]),
                stopping_criteria=StoppingCriteriaList([_Writes(self, answers)]),
                **greedy_options(lm.model, {"max_new_tokens": longest, "pad_token_id": lm.padding_id}),
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

    def __init__(self, worker: TransformersWorker, answers: Sequence[Answer]) -> None:
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
