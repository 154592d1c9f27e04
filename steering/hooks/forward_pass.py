"""What one forward pass of the whole model brings: tokens, the cache before them, and which of them are padding."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from steering.errors import SteeringError
from steering.hooks.past_tokens import PastTokens, cache_in

_PACKED = ("cu_seq_lens_q", "cu_seq_lens_k", "seq_idx")
"""Arguments of passes whose rows hold several sequences, one behind the other: continuous batching, packed training."""


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """The arguments of a model's forward that say where its tokens stand."""

    tokens: Tensor
    """Ids (rows, seq), or embeddings (rows, seq, d_model)."""
    cache: Any
    past: int
    """Columns before the first token: those that the cache holds."""
    attention_mask: Any
    position_ids: Any

    @staticmethod
    def of(
        forward: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], past_tokens: PastTokens
    ) -> "ForwardPass | None":
        """Read the arguments of a call; None where it brings no tokens.

        Raises SteeringError for rows of packed sequences, and for a cache that doesn't say its length.
        """
        given = forward.bind_partial(*args, **kwargs).arguments
        given |= given.get("kwargs", {})
        tokens = first_given(given, "input_ids", "inputs_embeds")
        if tokens is None:
            return None
        if first_given(given, *_PACKED) is not None:
            raise _packed_rows()
        past = past_tokens.pass_begins(given)
        return ForwardPass(tokens, cache_in(given), past, given.get("attention_mask"), given.get("position_ids"))

    @property
    def ids(self) -> Tensor | None:
        """The ids (rows, seq); None where the pass brings embeddings."""
        return self.tokens if self.tokens.ndim == 2 else None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.tokens)

    @property
    def columns(self) -> int:
        """Columns up to the pass's last token, those in the cache included."""
        return self.past + self.tokens.shape[1]

    def real_tokens(self) -> Int[Tensor, "rows columns"] | None:
        """1 for real tokens and 0 for padding, cached ones included; None where the pass has no such mask.

        Raises SteeringError for a mask that is too short.
        """
        mask = self.attention_mask
        if not isinstance(mask, Tensor) or mask.ndim != 2:
            return None
        if mask.shape[1] < self.columns:
            raise SteeringError(
                f"Expected an attention mask over all {self.columns} tokens so far, those in the cache included, found "
                f"one over {mask.shape[1]}; make it longer, or leave it out where nothing is padded."
            )
        return mask[:, : self.columns].long()

    def whole_mask(self) -> Int[Tensor, "rows columns"]:
        """1 for real tokens and 0 for padding. Raises SteeringError where the pass doesn't say which are padding."""
        mask = self.real_tokens()
        if mask is None and self.attention_mask is not None and not self._counts_every_column():
            raise self.unknown_padding()
        ones = torch.ones(self.rows, self.columns, dtype=torch.long, device=self.tokens.device)
        return ones if mask is None else mask

    def _counts_every_column(self) -> bool:
        """Whether the position ids leave no column out, as they would padding on the left."""
        positions = self.position_ids
        last = positions[:, -1] if isinstance(positions, Tensor) and positions.ndim == 2 else torch.tensor(-1)
        return bool((last >= self.columns - 1).all())

    @staticmethod
    def unknown_padding() -> SteeringError:
        """The error for a pass whose padding isn't known."""
        return SteeringError(
            "Expected an attention mask of shape (rows, tokens), which says what is padding, found none that shows it; "
            "pass such a mask to generate or the model, or attach with tokens='all' and sliders without a gate."
        )

    def check_positions(self, index: Int[Tensor, "rows seq"]) -> None:
        """Raise SteeringError where the position ids say that the tokens stand elsewhere.

        A token's position is the number of real tokens before it, or of columns; some families count from 1.

        Args:
            index: the number of real tokens before each of the pass's tokens, -1 for padding.
        """
        positions = self.position_ids
        if not isinstance(positions, Tensor) or positions.ndim != 2:
            return
        column = torch.arange(self.past, self.columns, device=index.device)
        positions = positions.to(index.device)
        if (((positions < index) | (positions > column + 1)) & (index >= 0)).any():
            raise _packed_rows()


def _packed_rows() -> SteeringError:
    """The error for rows in which a token's place isn't its column's."""
    return SteeringError(
        "Expected one sequence in each row, found rows that hold several, or position ids that contradict the "
        "attention mask and the cache; pass a row for each prompt, or attach with tokens='all' and sliders without a "
        "gate."
    )


def first_given(arguments: Mapping[str, Any], *names: str) -> Any:
    """The first of the named arguments that isn't None, if any."""
    return next((arguments[name] for name in names if arguments.get(name) is not None), None)
