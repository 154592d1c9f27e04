"""The prompts of one batch: which tokens, how long each is, and what gates have read of it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from steering.errors import SteeringError
from steering.hooks.forward_pass import ForwardPass, first_given
from steering.models.token_positions import TokenChoice


class GateFactors(NamedTuple):
    """What one gate has read of the rows of a pass."""

    factors: Float[Tensor, " rows"]
    read: Bool[Tensor, " rows"]
    """Whether the row's prompt has passed; its factor is 0 until then."""


class Prompts:
    """Known from `generate`'s arguments, or from the first pass over them.

    Args:
        tokens: ids (rows, seq) or embeddings (rows, seq, d_model), padded as they came.
        mask: (rows, columns), 1 for real tokens; None until a pass shows what `generate` was not told.
    """

    def __init__(self, tokens: Tensor, mask: Tensor | None) -> None:
        self._tokens = tokens
        self._mask = mask
        self._declared: Tensor | None = None
        self.readings: dict[object, GateFactors] = {}
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
        return Prompts(passed.tokens, passed.whole_mask())

    def __deepcopy__(self, _memo: object) -> "Prompts":
        return self  # a copied cache holds the same prompts

    @property
    def rows(self) -> int:
        """Number of prompts."""
        return len(self._tokens)

    @property
    def columns(self) -> int:
        """Columns of the longest prompt with its padding."""
        return self._tokens.shape[1] if self._mask is None else self._mask.shape[1]

    def lie_before(self, passed: ForwardPass) -> bool:
        """Whether a pass holds nothing but what follows them, as far as is known without asking the device."""
        return self._declared is None and passed.past >= self.columns

    def declare(self, lengths: Tensor, rows: int) -> None:
        """Take the number of each row's prompt tokens, or of each prompt's, or one for all, from the caller.

        Raises SteeringError for another number of lengths.
        """
        if lengths.numel() not in (1, self.rows, rows):
            raise SteeringError(f"Expected a prompt length for each of the pass' {rows} rows, found {lengths.numel()}.")
        self._declared = lengths.reshape(-1, 1)

    def lengths(self, rows: int) -> Int[Tensor, "rows 1"]:
        """Number of each row's real prompt tokens, each prompt repeated for its beams."""
        if self._declared is not None:
            return _repeated(self._declared, rows)
        assert self._mask is not None
        return _repeated(self._mask, rows).sum(1, keepdim=True)

    def real_tokens(self, passed: ForwardPass) -> Int[Tensor, "rows columns"]:
        """1 for the real tokens of a pass over them or what follows, over the cached columns and the new ones."""
        mask = passed.real_tokens()
        if self._mask is None:
            self._mask = self._seen_mask(passed)
        if mask is not None:
            return mask
        prompts = _repeated(self._mask, passed.rows)[:, : passed.columns]
        real = torch.ones(passed.rows, passed.columns, dtype=torch.long, device=prompts.device)
        real[:, : prompts.shape[1]] = prompts  # what follows a prompt isn't padded
        return real

    def begin(self, passed: ForwardPass) -> bool:
        """Whether a pass brings them, or parts of them into a cache, at the columns where they stand."""
        if passed.rows % self.rows or passed.tokens.ndim != self._tokens.ndim:
            return False
        if passed.columns < self.columns and passed.cache is None:
            return False
        first = self.columns - self._tokens.shape[1]  # the columns before are in a cache that came along
        start, stop = max(first, passed.past), min(self.columns, passed.columns)
        if start >= stop:
            return False
        ours = _repeated(self._tokens, passed.rows)[:, start - first : stop - first]
        return torch.equal(ours.to(passed.tokens.device), passed.tokens[:, start - passed.past : stop - passed.past])

    def grow_into(self, later: "Prompts") -> bool:
        """Whether others are these with one more token in a row: a prompt and the next step, or two prompts."""
        if self.rows != later.rows or self._tokens.ndim != later._tokens.ndim:
            return False
        assert self._mask is not None
        assert later._mask is not None
        steps = later._mask.sum(1) - self._mask.sum(1)
        if not (steps.max() == 1 and steps.min() >= 0):
            return False
        rows = zip(self._tokens, self._mask, later._tokens, later._mask, strict=True)
        return all(
            torch.equal(tokens[mask.bool()], others[theirs.bool()][: int(mask.sum())])
            for tokens, mask, others, theirs in rows
        )

    def check_continues(self, earlier: "Prompts", cached: int, choices: Iterable[TokenChoice]) -> None:
        """Raise SteeringError where tokens in a cache were chosen otherwise, as parts of the prompts that it held then.

        Args:
            earlier: the prompts that the cache was filled with.
            cached: number of columns in it.
            choices: all tokens that are moved, or read by gates.
        """
        mask = torch.ones(self.rows, cached, dtype=torch.long) if self._mask is None else self._mask[:, :cached]
        index = torch.where(mask.bool(), mask.cumsum(1) - 1, -1)
        whole = torch.full((self.rows, 1), self.columns) if self._mask is None else self._mask.sum(1, keepdim=True)
        whole = whole if self._declared is None else _repeated(self._declared, self.rows).to(whole.device)
        before = earlier.lengths(self.rows).to(index.device)
        if any((choice(index, whole, whole - 1) != choice(index, before, before - 1)).any() for choice in choices):
            raise SteeringError(
                "Expected a cache of tokens that were moved as parts of these prompts, found one that was filled with "
                f"prompts of {before.flatten().tolist()} tokens; generate without past_key_values, or fill the cache "
                "inside dial.prompt_lengths(lengths of the whole prompts)."
            )

    def _seen_mask(self, passed: ForwardPass) -> Int[Tensor, "rows columns"]:
        """1 for real tokens, by the first pass: `generate` infers padding and leaves out a mask that masks nothing."""
        if passed.columns >= self.columns:
            return passed.whole_mask()[:: passed.rows // self.rows, : self.columns]
        if passed.attention_mask is not None:
            raise passed.unknown_padding()
        return torch.ones(self.rows, self.columns, dtype=torch.long, device=passed.tokens.device)


def _repeated(values: Tensor, rows: int) -> Tensor:
    """The prompts' values with every row repeated for its beams."""
    if rows % len(values):
        raise SteeringError(
            f"Expected the {len(values)} rows of the prompts, or as many for each of them, found {rows}, whose prompts "
            "can't be told; keep all rows until the last one ends."
        )
    return values.repeat_interleave(rows // len(values), dim=0)
