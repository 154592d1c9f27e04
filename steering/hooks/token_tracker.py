"""Which row and which token of whose prompt every position of the forward pass under way is.

A block's hook sees only `(rows, seq, d_model)`. Inside `generate` that may be a padded prompt, one cached step, or the
whole sequence again without a cache, with every row repeated for beams. The tracker watches the model's forward and
`generate` from outside and answers in terms of the caller's own batch rows and real tokens. Where a pass can't be
placed, it is refused.

Passes of several threads may be under way in one model: each thread has its own state, and what is known of a cache
goes where the cache goes.
"""

import inspect
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from steering.errors import SteeringError
from steering.hooks.cache_notes import CacheNotes
from steering.hooks.forward_pass import ForwardPass
from steering.hooks.past_tokens import PastTokens, returned_caches
from steering.hooks.prompts import GateFactors, Prompts
from steering.hooks.seen_tokens import AnswerStart, SeenTokens
from steering.models.declared_prompts import declared_lengths
from steering.models.decoder_blocks import check_places
from steering.models.token_positions import TokenChoice


class TokenTracker(threading.local):
    """State of one attached dial, made anew in every thread; nothing is shared between dials or models.

    Args:
        forward: signature of the forward of the model whose passes are watched.
        choices: all tokens that the dial's sliders move, or that their gates read.
        notes: the dial's, for all threads.
        past: the dial's, for all threads.
        answer_start: tells where answers of a model that thinks start; None where that doesn't matter.
    """

    def __init__(
        self,
        forward: inspect.Signature,
        choices: Sequence[TokenChoice],
        notes: CacheNotes,
        past: PastTokens,
        answer_start: AnswerStart | None,
    ) -> None:
        self._forward = forward
        self._choices = choices
        self._notes = notes
        self._past = past
        self._seen = SeenTokens(answer_start) if answer_start else None
        self._announced: Prompts | None = None  # by the `generate` under way
        self._last: Prompts | None = None  # of a plain pass, as a loop without a cache would grow them
        self._given_lengths: Tensor | None = None
        self._spreading = False
        self._columns = 0
        self.prompts: Prompts | None = None
        """Whose answers the pass under way writes."""
        self.token_index: Tensor | None = None
        """(rows, seq): number of real tokens before each position in its row, -1 for padding; None between passes."""
        self.prompt_length: Tensor | None = None
        """(rows, 1): number of real prompt tokens."""
        self.answer_start: Tensor | None = None
        """(rows, 1): number of real tokens before the first that decides about the answer."""
        self.is_past_prompt = False
        """Whether it holds nothing but generated tokens, as far as is known without asking the device."""
        self._chosen: dict[TokenChoice, Tensor] = {}

    @property
    def _lengths_given(self) -> Tensor | None:
        return declared_lengths() if self._given_lengths is None else self._given_lengths

    @property
    def readings(self) -> dict[object, GateFactors]:
        """What gates have read of the prompts of the pass under way."""
        return {} if self.prompts is None else self.prompts.readings

    @contextmanager
    def generating(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Around one call of the model's `generate`, with the call's own arguments."""
        before = self._announced
        if before is not None and getattr(kwargs.get("generation_config"), "is_assistant", False):
            yield  # a draft of the answer under way, by some of the model's own layers
            return
        self._announced = Prompts.of_generate(args, kwargs)
        try:
            if self._announced is not None:
                if (given := self._lengths_given) is not None:
                    self._announced.declare(given, self._announced.rows)
                self._take_over(kwargs.get("past_key_values"), self._announced, kwargs.get("generation_config"))
            with self._seen.generating() if self._seen else nullcontext():
                yield
        finally:
            self._announced = before

    def preparing(self, *args: Any, **kwargs: Any) -> AbstractContextManager[None]:
        """Around the call in which `generate` prepares a pass, with the call's own arguments."""
        return self._seen.preparing(*args, **kwargs) if self._seen else nullcontext()

    @contextmanager
    def prompts_of(self, lengths: Tensor, spreading: bool = False) -> Iterator[None]:
        """Declare each row's number of real prompt tokens for the plain forward passes inside.

        `spreading` lets passes of one row become a row for each coefficient where the first slider moves.
        """
        before = self._given_lengths, self._spreading
        self._given_lengths, self._spreading = lengths, spreading
        try:
            yield
        finally:
            self._given_lengths, self._spreading = before

    def at_rows(self, coefficients: Tensor, rows: int) -> Tensor:
        """Coefficients for a pass of `rows` rows: each of the caller's batch repeated for its beams, a single one once.

        They stay as they are where a single row spreads over them: adding them makes the rows.
        """
        if len(coefficients) == 1 or (self._spreading and rows == 1):
            return coefficients
        caller_rows = rows if self._announced is None else self._announced.rows
        if len(coefficients) != caller_rows or rows % caller_rows:
            raise SteeringError(
                f"Expected one coefficient for each of the batch's {caller_rows} rows, found {len(coefficients)}; "
                "set a single number, or as many as the batch has rows."
            )
        return coefficients.repeat_interleave(rows // caller_rows, dim=0)

    def chosen(self, choice: TokenChoice, h: Tensor) -> Bool[Tensor, "rows seq 1"]:
        """Whether the chosen tokens stand at each position of the pass under way, if the whole model runs."""
        if self.token_index is None or self.prompt_length is None or self.answer_start is None:
            raise SteeringError(
                "Expected a forward pass of the whole attached model, found one of a part of it; "
                "call the model itself, or attach with tokens='all' and sliders without a gate."
            )
        rows, seq = self.token_index.shape
        check_places(h, (len(h) if self._spreading else rows, seq))
        if choice not in self._chosen or self._chosen[choice].device != h.device:
            chosen = choice(self.token_index, self.prompt_length, self.answer_start)
            self._chosen[choice] = chosen.to(h.device).unsqueeze(-1)
        return self._chosen[choice]

    def pass_begins(self, _model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the whole model: place the pass's positions."""
        self._forget_pass()
        passed = ForwardPass.of(self._forward, args, kwargs, self._past)
        if passed is None:
            return
        self._columns = passed.columns
        prompts = self._prompts_of(passed)
        self._notes.write(passed.cache, prompts)
        real = prompts.real_tokens(passed).to(passed.tokens.device)
        index = torch.where(real.bool(), real.cumsum(1) - 1, -1)[:, passed.past :]
        if prompts is not self._announced:
            passed.check_positions(index)
        if (given := self._lengths_given) is not None:
            prompts.declare(given, passed.rows)
        lengths = prompts.lengths(passed.rows).to(passed.tokens.device)
        self.prompts, self.token_index, self.prompt_length = prompts, index, lengths
        self.is_past_prompt = prompts.lie_before(passed)
        self.answer_start = lengths - 1
        if self._seen is not None:
            self.answer_start = self._seen.answer_starts(passed.ids, passed.past, real, lengths)

    def pass_ends(self, _model: nn.Module, _args: object, output: object) -> None:
        """Forward hook of the whole model."""
        self._past.pass_ends(output, self._columns)
        if self.prompts is not None:
            for cache in returned_caches(output):
                self._notes.write(cache, self.prompts)
        self._forget_pass()

    def _forget_pass(self) -> None:
        self.prompts = self.token_index = self.prompt_length = self.answer_start = None
        self.is_past_prompt, self._chosen = False, {}

    def _take_over(self, cache: Any, prompts: Prompts, config: Any) -> None:
        """A cache that is handed to `generate` holds its prompts from now on."""
        earlier = self._notes.read(cache)
        if earlier is not None and not getattr(config, "is_assistant", False):  # drafts are checked by another pass
            prompts.check_continues(earlier, self._past.length(cache), self._choices)
        self._notes.write(cache, prompts)

    def _prompts_of(self, passed: ForwardPass) -> Prompts:
        """Whose prompts a pass brings or goes on from: `generate`'s, those in its cache, or its own."""
        announced = self._announced
        known = self._notes.read(passed.cache) if passed.past > 0 else None
        if announced is not None and (known is announced or (known is None and announced.begin(passed))):
            return announced
        if self._lengths_given is not None:
            return known or Prompts.of_pass(passed)
        if passed.past > 0:
            return _continued(passed, known)
        prompts = Prompts.of_pass(passed)
        if self._last is not None and self._last.grow_into(prompts):
            raise SteeringError(
                "Expected a prompt, found the last pass's tokens with one more, which may be another prompt or an "
                "answer's next token; run the loop with a cache, or inside dial.prompt_lengths(lengths)."
            )
        self._last = prompts
        return prompts


def _continued(passed: ForwardPass, known: Prompts | None) -> Prompts:
    """The prompts in a plain pass's cache, if the pass adds one token to each."""
    if known is None:
        raise SteeringError(
            f"Expected a cache whose prompts passed through the attached model, found one of {passed.past} tokens that "
            "didn't; run the prompts again, or decode inside dial.prompt_lengths(lengths)."
        )
    if passed.tokens.shape[1] > 1:
        raise SteeringError(
            f"Expected one new token a row behind the prompts in the cache, found {passed.tokens.shape[1]}, which may "
            "be the prompts' or the answers'; pass them inside dial.prompt_lengths(lengths)."
        )
    return known
