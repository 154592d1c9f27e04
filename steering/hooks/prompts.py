"""The prompts of one batch: how long each is, and what gates have read of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from steering.errors import SteeringError
from steering.hooks.forward_pass import ForwardPass, first_given


@dataclass(eq=False)
class Prompts:
    """Known from `generate`'s arguments, or from the first pass over them."""

    tokens: Tensor
    """Ids (rows, seq) or embeddings (rows, seq, d_model), padded as they came."""
    mask: Int[Tensor, "rows columns"] | None
    """1 for real tokens, over all columns; None until a pass shows what `generate` was not told."""
    readings: dict[object, Tensor] = field(default_factory=dict)
    """What each gate has read of the rows."""

    @staticmethod
    def of_generate(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "Prompts | None":
        """Those that a call of `generate` is to answer; None where it begins with nothing."""
        tokens = first_given(kwargs, "inputs_embeds", "input_ids", "inputs")
        tokens = args[0] if tokens is None and args else tokens
        if tokens is None:
            return None
        mask = kwargs.get("attention_mask")
        return Prompts(tokens, None if mask is None else mask.long())

    @staticmethod
    def of_pass(passed: ForwardPass) -> "Prompts":
        """Those that a pass of its own brings whole. Raises SteeringError where its padding isn't known."""
        return Prompts(passed.tokens, _whole_mask(passed))

    @property
    def rows(self) -> int:
        """Number of prompts."""
        return len(self.tokens)

    @property
    def columns(self) -> int:
        """Columns of the longest prompt with its padding."""
        return self.tokens.shape[1] if self.mask is None else self.mask.shape[1]

    def lengths(self, rows: int) -> Int[Tensor, "rows 1"]:
        """Number of each row's real prompt tokens, each prompt repeated for its beams."""
        assert self.mask is not None
        return self._at_rows(self.mask, rows).sum(1, keepdim=True)

    def real_tokens(self, passed: ForwardPass) -> Int[Tensor, "rows columns"]:
        """1 for the real tokens of a pass over them or what follows, over the cached columns and the new ones."""
        mask = passed.real_tokens()
        if self.mask is None:
            self.mask = self._seen_mask(passed)
        if mask is not None:
            return mask
        real = _ones(passed)  # what follows a prompt isn't padded
        prompts = self._at_rows(self.mask, passed.rows)[:, : passed.columns]
        real[:, : prompts.shape[1]] = prompts
        return real

    def begin(self, passed: ForwardPass) -> bool:
        """Whether a pass brings them, or parts of them into a cache, at the columns where they stand."""
        if passed.rows % self.rows or passed.tokens.ndim != self.tokens.ndim:
            return False
        if passed.columns < self.columns and passed.cache is None:
            return False
        first = self.columns - self.tokens.shape[1]  # columns before the tokens are those of a cache that came along
        start, stop = max(first, passed.past), min(self.columns, passed.columns)
        if start >= stop:
            return False
        ours = self._at_rows(self.tokens, passed.rows)[:, start - first : stop - first]
        return torch.equal(ours.to(passed.tokens.device), passed.tokens[:, start - passed.past : stop - passed.past])

    def grow_into(self, later: "Prompts") -> bool:
        """Whether others are these with one more token in a row: a prompt and the next step, or two prompts."""
        if self.rows != later.rows or self.tokens.ndim != later.tokens.ndim:
            return False
        assert self.mask is not None
        assert later.mask is not None
        steps = later.mask.sum(1) - self.mask.sum(1)
        if not (steps.max() == 1 and steps.min() >= 0):
            return False
        rows = zip(self.tokens, self.mask, later.tokens, later.mask, strict=True)
        return all(
            torch.equal(tokens[mask.bool()], others[theirs.bool()][: int(mask.sum())])
            for tokens, mask, others, theirs in rows
        )

    def _seen_mask(self, passed: ForwardPass) -> Int[Tensor, "rows columns"]:
        """1 for real tokens, by the first pass: `generate` infers padding and leaves out a mask that masks nothing."""
        if passed.columns >= self.columns:
            return _whole_mask(passed)[:: passed.rows // self.rows, : self.columns]
        if passed.attention_mask is not None:
            raise _unknown_padding()
        return torch.ones(self.rows, self.columns, dtype=torch.long, device=passed.tokens.device)

    def _at_rows(self, values: Tensor, rows: int) -> Tensor:
        """The prompts' values with every row repeated for its beams."""
        if rows % self.rows:
            raise SteeringError(
                f"Expected the {self.rows} rows of the prompts, or as many for each of them, found {rows}, whose "
                "prompts can't be told; keep all rows until the last one ends."
            )
        return values.repeat_interleave(rows // self.rows, dim=0)


def _whole_mask(passed: ForwardPass) -> Int[Tensor, "rows columns"]:
    """1 for real tokens, from the pass alone. Raises SteeringError where it doesn't say which are padding."""
    mask = passed.real_tokens()
    if mask is None and passed.attention_mask is not None and not passed.counts_every_column():
        raise _unknown_padding()
    return _ones(passed) if mask is None else mask


def _unknown_padding() -> SteeringError:
    return SteeringError(
        "Expected an attention mask of shape (rows, tokens), which says what is padding, found none that shows it; "
        "pass such a mask to generate or the model, or attach with tokens='all' and sliders without a gate."
    )


def _ones(passed: ForwardPass) -> Int[Tensor, "rows columns"]:
    return torch.ones(passed.rows, passed.columns, dtype=torch.long, device=passed.tokens.device)
