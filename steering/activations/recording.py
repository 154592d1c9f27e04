"""Reading activations at hook points of the decoder blocks, in bounded memory.

It knows nothing of axes or directions: chats in, one activation a chat and layer out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from itertools import islice
from typing import TypeAlias

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from steering.activations.distributed import ALONE, Ranks
from steering.activations.prefix import Prefix
from steering.activations.shared_prefix import shared_prefix, takes_padding
from steering.data.chats import ChatLike
from steering.data.contrast import ContrastPair
from steering.errors import SteeringError
from steering.models.batching import like_lengths
from steering.models.declared_prompts import declared_prompts
from steering.models.decoder_blocks import check_places
from steering.models.hook_points import HookPoint, heads_width, hooked_module, reading_hook, temporary_hooks
from steering.models.language_model import LanguageModel
from steering.models.llama_cpp.module import LlamaCppModel
from steering.models.token_positions import TokenPosition, token_span

Activations: TypeAlias = Float[Tensor, "chats layers d_model"]
PairActivations: TypeAlias = tuple[Activations, Activations]
"""Activations of the positive and of the negative sides of the same pairs, in the same order."""
PairReader: TypeAlias = Callable[..., Iterator[PairActivations]]
"""Called as `stream_pairs` is, and gives what it gives."""
NextToken: TypeAlias = Callable[[Sequence[int], Float[Tensor, "rows vocabulary"]], object]
"""Takes a batch's chats, by their places, and the logits behind their last tokens."""

TOKENS_PER_BATCH = 512
"""On a CPU, which gains nothing from larger batches, while unlike lengths cost padding; eight times that elsewhere."""
BUFFER_BYTES = 8 << 20
"""Size of the activations that `stream_pairs` holds at once, or those of so many pairs in a model where that is few:"""
LEAST_PAIRS = 32


def record(
    lm: LanguageModel,
    chats: Sequence[ChatLike],
    *,
    layers: Sequence[int] | None = None,
    position: TokenPosition = "last",
    hook_point: HookPoint = "resid_post",
    progress: Callable[[int], object] | None = None,
    ranks: Ranks = ALONE,
) -> Activations:
    """Read the activations of chats at decoder blocks, one a chat and layer.

    Chats run in batches of like length with right padding; the forward pass ends at the highest layer asked for.
    An attached dial is in force, so steered activations can be read too.

    Args:
        lm: the model that reads.
        chats: prompts or chats, with or without an answer.
        layers: block indices, ascending; all by default.
        position: the tokens whose activations are averaged, as `steering.models.token_positions` names them.
        hook_point: where in the blocks: `resid_post` (their outputs), `attn_out` or `z` (the heads' outputs).
        progress: called with the number of chats that a batch has added.
        ranks: processes that share the batches; each gets all activations.

    Returns:
        A tensor (chats, layers, d_model) in float32 on the CPU; at `z` the last axis is as wide as all heads together.

    Raises:
        SteeringError: for an unknown position, layer or hook point, or a chat without a token at the position.

    Example:
        >>> record(lm, ["Why is the sky blue?", "Hi!"], layers=[1, 2]).shape
        torch.Size([2, 2, 32])
    """
    found: Tensor = record_positions(
        lm, chats, [position], layers=layers, hook_point=hook_point, progress=progress, ranks=ranks
    )
    return found[0]


def record_positions(
    lm: LanguageModel,
    chats: Sequence[ChatLike],
    positions: Sequence[TokenPosition],
    *,
    layers: Sequence[int] | None = None,
    hook_point: HookPoint = "resid_post",
    progress: Callable[[int], object] | None = None,
    ranks: Ranks = ALONE,
    next_token: NextToken | None = None,
) -> Float[Tensor, "positions chats layers d_model"]:
    """What `record` reads at several positions, from one pass over each chat.

    Args:
        lm: the model.
        chats: as `record` takes them.
        positions: what `record` takes one of.
        layers: as `record` takes them.
        hook_point: as `record` takes it.
        progress: as `record` takes it.
        ranks: as `record` takes them.
        next_token: called with a batch's chats, by their places, and the logits behind their last tokens; the passes
            then go on through the LM head.

    Returns:
        A tensor (positions, chats, layers, d_model) in float32 on the CPU.

    Raises:
        SteeringError: as `record` does.
    """
    layers = check_layers(lm, layers)
    tokenized = [lm.tokenize(chat) for chat in chats]
    spans = [[token_span(chat, position) for position in positions] for chat in tokenized]
    longest = min((start for some in spans for start, _ in some), default=0)
    within = nullcontext if next_token else partial(stopping_at, lm, layers[-1])
    prefix = shared_prefix(lm, [chat.ids for chat in tokenized], longest, within)
    activations = torch.zeros(len(positions), len(tokenized), len(layers), _width(lm, hook_point))
    unread = len(tokenized)
    tokens_per_batch = TOKENS_PER_BATCH * (1 if lm.input_device.type == "cpu" else 8)
    padded = takes_padding(lm)
    for batch in ranks.share(like_lengths([len(chat.ids) for chat in tokenized], tokens_per_batch, padded)):
        rows, places = [tokenized[index].ids for index in batch], [spans[index] for index in batch]
        with declared_prompts([tokenized[index].generation_start for index in batch]):
            activations[:, batch], logits = _read_batch(
                lm, rows, places, prefix, layers, hook_point, next_token is not None
            )
        if next_token is not None and logits is not None:
            next_token(batch, logits)
        unread -= len(batch)
        if progress is not None:
            progress(len(batch))
    ranks.all_reduce(activations)
    if progress is not None and unread:  # by other processes
        progress(unread)
    return activations


def stream_pairs(
    lm: LanguageModel,
    pairs: Iterable[ContrastPair],
    *,
    layers: Sequence[int] | None = None,
    position: TokenPosition = "last",
    hook_point: HookPoint = "resid_post",
    progress: bool = True,
    description: str = "reading activations",
    ranks: Ranks = ALONE,
) -> Iterator[PairActivations]:
    """Activations of contrast pairs, some pairs at a time, so that memory doesn't grow with their number.

    Args:
        lm: the model that reads.
        pairs: the pairs, read as they come.
        layers: as `record` takes them.
        position: as `record` takes it.
        hook_point: as `record` takes it.
        progress: show a bar.
        description: the bar's title.
        ranks: as `record` takes them.

    Yields:
        Positive and negative sides of the next pairs, (pairs, layers, d_model) each.

    Raises:
        SteeringError: as `record` does.

    Example:
        >>> [positive.shape for positive, _ in stream_pairs(lm, pairs, layers=[1], progress=False)]
        [torch.Size([20, 1, 32])]
    """
    layers = check_layers(lm, layers)
    window = max(LEAST_PAIRS, BUFFER_BYTES // (2 * len(layers) * _width(lm, hook_point) * 4))
    iterator = iter(pairs)
    total = 2 * len(pairs) if isinstance(pairs, Sequence) else None
    with tqdm(total=total, desc=description, unit="chat", disable=not (progress and ranks.is_first)) as bar:
        while some := list(islice(iterator, window)):
            chats = [pair.positive for pair in some] + [pair.negative for pair in some]
            activations = record(
                lm, chats, layers=layers, position=position, hook_point=hook_point, progress=bar.update, ranks=ranks
            )
            yield activations[: len(some)], activations[len(some) :]


def check_finite(*sides: Activations) -> None:
    """Raise SteeringError where activations overflowed."""
    if not all(side.isfinite().all() for side in sides):
        raise SteeringError("The activations are infinite or undefined in this dtype; load with dtype='float32'.")


def check_layers(lm: LanguageModel, layers: Sequence[int] | None) -> list[int]:
    """`layers`, or all of the model's. Raises SteeringError unless they exist and ascend."""
    wanted = list(range(lm.n_layers)) if layers is None else list(layers)
    if not wanted or wanted != sorted(set(wanted)) or not all(0 <= layer < lm.n_layers for layer in wanted):
        raise SteeringError(
            f"Expected ascending layers from 0 to {lm.n_layers - 1}, found {wanted[:20]}; "
            "layer L is the output of block L."
        )
    return wanted


def _width(lm: LanguageModel, hook_point: HookPoint) -> int:
    module = hooked_module(lm.blocks[0], hook_point)
    return heads_width(module) if hook_point == "z" else lm.d_model


@torch.inference_mode()
def _read_batch(
    lm: LanguageModel,
    rows: list[list[int]],
    spans: list[list[tuple[int, int]]],
    prefix: Prefix,
    layers: list[int],
    hook_point: HookPoint,
    wants_logits: bool,
) -> tuple[Float[Tensor, "positions rows layers d_model"], Float[Tensor, "rows vocabulary"] | None]:
    """Run one batch: the mean activations over every row's spans, one a position, and the logits behind its last token
    if they are wanted; else the pass ends at the last layer.
    """
    found: list[Float[Tensor, "rows_positions d_model"]] = []  # of each layer in turn

    def read(activations: Float[Tensor, "rows seq d_model"]) -> None:
        check_places(activations, (len(rows), max(map(len, rows)) - prefix.length))
        means = [
            row[start - prefix.length : stop - prefix.length].mean(0, dtype=torch.float32)
            for row, some in zip(activations, spans, strict=True)
            for start, stop in some
        ]
        found.append(torch.stack(means).cpu())  # one transfer from the device

    hooks = [reading_hook(lm.blocks[layer], hook_point, read) for layer in layers]
    logits = None
    with temporary_hooks(hooks):
        if wants_logits:
            logits = prefix.last_logits(lm, rows)
        else:
            with stopping_at(lm, layers[-1]):
                prefix.run(lm, rows)
    if len(found) < len(layers):
        raise SteeringError(
            f"Expected all of the blocks {layers} to run, found {len(found)} that did; leave out those that text alone "
            "doesn't reach, such as cross-attention to images."
        )
    means = rearrange(found, "layers (rows positions) d_model -> positions rows layers d_model", rows=len(rows))
    return means, logits


class _LastLayerReached(Exception):  # noqa: N818 - a signal, no error
    pass


@contextmanager
def stopping_at(lm: LanguageModel, layer: int) -> Iterator[None]:
    """End forward passes inside when a block is done, below the layers and the LM head that nobody asked for."""
    if isinstance(lm.model, LlamaCppModel):
        with lm.model.ending_behind(layer):
            yield
        return

    def stop(*_: object) -> None:
        raise _LastLayerReached

    with suppress(_LastLayerReached), temporary_hooks([(lm.blocks[layer], stop)]):
        yield
