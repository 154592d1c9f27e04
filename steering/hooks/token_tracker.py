"""Which row and which token of whose prompt every position of the forward pass under way is.

A block's hook sees only `(rows, seq, d_model)`. Inside `generate` that may be a padded prompt, one cached step, or the
whole sequence again without a cache, with every row repeated for beams. The tracker watches the model's forward and
`generate` from outside and answers in terms of the caller's own batch rows and real tokens.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from steering.errors import SteeringError
from steering.hooks.past_tokens import PastTokens
from steering.models.decoder_blocks import check_places
from steering.models.token_positions import TokenChoice


class TokenTracker:
    """State of one attached dial; nothing is shared between dials or models."""

    def __init__(self, model: nn.Module) -> None:
        self._forward = inspect.signature(model.forward)
        self._generating_rows: int | None = None
        self._prompt_mask: Tensor | None = None  # (caller's rows, prompt columns), 1 for real tokens
        self._given_lengths: Tensor | None = None
        self._spreading = False
        self._past = PastTokens()
        self.token_index: Tensor | None = None
        """(rows, seq): number of real tokens before each position in its row, -1 for padding; None between passes."""
        self.prompt_length: Tensor | None = None
        """(rows, 1): number of real prompt tokens."""
        self.starts_prompt = False
        """Whether the pass under way has nothing before it in a cache."""

    @contextmanager
    def generating(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Around one call of the model's `generate`, with the call's own arguments."""
        prompt = _first_given(kwargs, "input_ids", "inputs", "inputs_embeds")
        prompt = args[0] if prompt is None and args else prompt
        if prompt is None:
            yield
            return
        mask = kwargs.get("attention_mask")
        before = self._generating_rows, self._prompt_mask
        self._generating_rows = len(prompt)
        self._prompt_mask = torch.ones(prompt.shape[:2], dtype=torch.long) if mask is None else mask.long()
        try:
            yield
        finally:
            self._generating_rows, self._prompt_mask = before

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
        caller_rows = rows if self._generating_rows is None else self._generating_rows
        if len(coefficients) != caller_rows or rows % caller_rows:
            raise SteeringError(
                f"Expected one coefficient for each of the batch's {caller_rows} rows, found {len(coefficients)}; "
                "set a single number, or as many as the batch has rows."
            )
        return coefficients.repeat_interleave(rows // caller_rows, dim=0)

    def chosen(self, choice: TokenChoice, h: Tensor) -> Bool[Tensor, "rows seq 1"]:
        """Whether the chosen tokens stand at each position of the pass under way, if the whole model runs."""
        if self.token_index is None or self.prompt_length is None:
            raise SteeringError(
                "Expected a forward pass of the whole attached model, found one of a part of it; "
                "call the model itself, or attach with tokens='all' and sliders without a gate."
            )
        rows, seq = self.token_index.shape
        check_places(h, (len(h) if self._spreading else rows, seq))
        return choice(self.token_index, self.prompt_length).to(h.device).unsqueeze(-1)

    def pass_begins(self, _model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the whole model: place the pass's positions."""
        kwargs = self._forward.bind_partial(*args, **kwargs).arguments
        kwargs = kwargs | kwargs.get("kwargs", {})
        tokens = _first_given(kwargs, "input_ids", "inputs_embeds")
        if tokens is None:
            return
        rows, seq = tokens.shape[:2]
        past = self._past.pass_begins(kwargs, seq)
        self.starts_prompt = past == 0
        if past == 0 and self._generating_rows is None:
            self._prompt_mask = None  # a plain pass with an empty cache starts a new prompt
        mask = self._real_tokens(rows, past + seq, kwargs.get("attention_mask")).to(tokens.device)
        if self._prompt_mask is None:
            self._prompt_mask = mask
        prompt_columns = self._prompt_mask.shape[1]
        index = torch.where(mask.bool(), mask.cumsum(1) - 1, -1)
        lengths = (mask if mask.shape[1] >= prompt_columns else self._prompt_rows(rows)).to(tokens.device)
        lengths = lengths[:, :prompt_columns].sum(1, keepdim=True)
        if self._given_lengths is not None:
            if self._given_lengths.numel() not in (1, rows):
                raise SteeringError(
                    f"Expected a prompt length for each of the pass' {rows} rows, found {self._given_lengths.numel()}."
                )
            lengths = self._given_lengths.to(tokens.device).reshape(-1, 1).expand(rows, 1)
        self.token_index = index[:, past:]
        self.prompt_length = lengths

    def pass_ends(self, _model: nn.Module, _args: object, output: object) -> None:
        """Forward hook of the whole model."""
        self._past.pass_ends(output)
        self.token_index = self.prompt_length = None

    def _real_tokens(self, rows: int, columns: int, attention_mask: Any) -> Tensor:
        """(rows, columns) of 1 for real tokens and 0 for padding, over the cached positions and the new ones."""
        if isinstance(attention_mask, Tensor) and attention_mask.ndim == 2:
            return attention_mask[:, :columns].long()
        real = torch.ones(rows, columns, dtype=torch.long)
        if self._prompt_mask is not None:  # a static cache's mask is four-dimensional: padding is all in the prompt
            prompt = self._prompt_rows(rows)[:, :columns]
            real[:, : prompt.shape[1]] = prompt
        return real

    def _prompt_rows(self, rows: int) -> Tensor:
        """The prompt's mask with every row repeated for its beams."""
        assert self._prompt_mask is not None
        return self._prompt_mask.repeat_interleave(rows // len(self._prompt_mask), dim=0)


def _first_given(arguments: Mapping[str, Any], *names: str) -> Any:
    """The first of the named arguments that isn't None, if any."""
    return next((arguments[name] for name in names if arguments.get(name) is not None), None)
