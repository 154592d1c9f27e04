"""Reading the residual stream at the decoder blocks' outputs, in bounded memory.

It knows nothing of axes or directions: chats in, one state a chat and layer out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Protocol, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from tqdm.auto import tqdm

from steering.activations.distributed import ALONE, Ranks
from steering.activations.shared_prefix import Prefix, shared_prefix
from steering.data.chats import ChatLike
from steering.data.contrast import ContrastPair
from steering.errors import SteeringError, quoted
from steering.models.attention import output_projection, projection_weight
from steering.models.batching import like_lengths, pad
from steering.models.decoder_blocks import block_output
from steering.models.language_model import LanguageModel, TokenizedChat

States: TypeAlias = Float[Tensor, "chats layers d_model"]
PairStates: TypeAlias = tuple[States, States]
"""States of the positive and of the negative sides of the same pairs, in the same order."""
Position: TypeAlias = Callable[[TokenizedChat], tuple[int, int]]
"""The tokens whose states are averaged: first, and one past the last."""

POSITIONS: dict[str, Position] = {
    "last": lambda chat: (len(chat.ids) - 1, len(chat.ids)),
    "post_instruction": lambda chat: (chat.instruction_end, chat.prompt_length),
    "response_mean": lambda chat: (chat.prompt_length, len(chat.ids)),
}
"""`last` token of the chat; mean over the template's tokens after the user's text; mean over the answer.

`prompt_end:K` is the K-th token from the prompt's end, from 1: 1 is the token that an answer follows on.
"""

SITES = ("block", "heads")
"""What is read at a layer: the output of its block, or its attention heads' outputs, side by side."""
TOKENS_PER_BATCH = 512
"""On a CPU, which gains nothing from larger batches, while unlike lengths cost padding; eight times that elsewhere."""
BUFFER_BYTES = 8 << 20
"""Size of the states that `stream_pairs` holds at once, or those of so many pairs in a model where that is few:"""
LEAST_PAIRS = 32


def record(
    lm: LanguageModel,
    chats: Sequence[ChatLike],
    *,
    layers: Sequence[int] | None = None,
    position: str = "last",
    site: str = "block",
    progress: Callable[[int], object] | None = None,
    ranks: Ranks = ALONE,
) -> States:
    """States of chats at the outputs of decoder blocks, in float32 on the CPU: (chats, layers, d_model).

    Chats run in batches of like length with right padding; the forward pass ends at the highest layer asked for.
    An attached dial is in force, so steered states can be read too.

    Args:
        layers: block indices, ascending; all by default.
        position: a name in `POSITIONS`.
        site: a name in `SITES`; the states of "heads" are as wide as all heads together.
        progress: called with the number of chats that a batch has added.
        ranks: processes that share the batches; each gets all states.

    Raises SteeringError for an unknown position or layer, or a chat without a token at the position.
    """
    return record_positions(lm, chats, [position], layers=layers, site=site, progress=progress, ranks=ranks)[0]


def record_positions(
    lm: LanguageModel,
    chats: Sequence[ChatLike],
    positions: Sequence[str],
    *,
    layers: Sequence[int] | None = None,
    site: str = "block",
    progress: Callable[[int], object] | None = None,
    ranks: Ranks = ALONE,
) -> Float[Tensor, "positions chats layers d_model"]:
    """The states of `record` at several positions, from one pass over each chat. Arguments and errors are its own."""
    layers = check_layers(lm, layers)
    tokenized = [lm.tokenize(chat) for chat in chats]
    spans = [[_span(chat, position) for position in positions] for chat in tokenized]
    longest = min((start for some in spans for start, _ in some), default=0)
    prefix = shared_prefix(lm, [chat.ids for chat in tokenized], longest, partial(stopping_at, lm, layers[-1]))
    states = torch.zeros(len(positions), len(tokenized), len(layers), _width(lm, site))
    unread = len(tokenized)
    tokens_per_batch = TOKENS_PER_BATCH * (1 if lm.model.device.type == "cpu" else 8)
    for batch in ranks.share(like_lengths([len(chat.ids) for chat in tokenized], tokens_per_batch)):
        rows = [tokenized[index].ids for index in batch]
        _read_batch(lm, rows, prefix, layers, site, [spans[index] for index in batch], states, batch)
        unread -= len(batch)
        if progress is not None:
            progress(len(batch))
    ranks.combine(states)
    if progress is not None and unread:
        progress(unread)
    return states


class PairReader(Protocol):
    """Something that gives the states of contrast pairs batch by batch, as `stream_pairs` does."""

    def __call__(
        self,
        lm: LanguageModel,
        pairs: Sequence[ContrastPair],
        *,
        layers: Sequence[int] | None = None,
        position: str = "last",
        site: str = "block",
        progress: bool = True,
        description: str = "",
    ) -> Iterator[PairStates]:
        """States of the two sides of some pairs at a time."""


def stream_pairs(
    lm: LanguageModel,
    pairs: Iterable[ContrastPair],
    *,
    layers: Sequence[int] | None = None,
    position: str = "last",
    site: str = "block",
    progress: bool = True,
    description: str = "reading states",
    ranks: Ranks = ALONE,
) -> Iterator[PairStates]:
    """States of contrast pairs, some pairs at a time, so that memory does not grow with their number."""
    layers = check_layers(lm, layers)
    window = max(LEAST_PAIRS, BUFFER_BYTES // (2 * len(layers) * _width(lm, site) * 4))
    iterator = iter(pairs)
    total = 2 * len(pairs) if isinstance(pairs, Sequence) else None
    with tqdm(total=total, desc=description, unit="chat", disable=not (progress and ranks.is_first)) as bar:
        while some := list(islice(iterator, window)):
            chats = [pair.positive for pair in some] + [pair.negative for pair in some]
            states = record(lm, chats, layers=layers, position=position, site=site, progress=bar.update, ranks=ranks)
            yield states[: len(some)], states[len(some) :]


def check_finite(*sides: States) -> None:
    """Raise SteeringError where states overflowed."""
    if not all(states.isfinite().all() for states in sides):
        raise SteeringError("The states are infinite or undefined in this dtype; load the model with dtype='float32'.")


def check_layers(lm: LanguageModel, layers: Sequence[int] | None) -> list[int]:
    """`layers`, or all of the model's. Raises SteeringError unless they exist and ascend."""
    if layers is None:
        return list(range(lm.n_layers))
    wanted = list(layers)
    if not wanted or wanted != sorted(set(wanted)) or not all(0 <= layer < lm.n_layers for layer in wanted):
        raise SteeringError(
            f"Expected ascending layers from 0 to {lm.n_layers - 1}, found {wanted}; layer L is the output of block L."
        )
    return wanted


def check_position(position: str) -> Position:
    """The named position. Raises SteeringError for an unknown name."""
    name, _, number = position.partition(":")
    if name == "prompt_end" and number.isdecimal() and int(number) > 0:
        back = int(number)
        return lambda chat: (max(0, chat.prompt_length - back), chat.prompt_length - back + 1)
    if position not in POSITIONS:
        raise SteeringError(
            f"There is no position {position!r}; choose from {quoted([*POSITIONS, 'prompt_end:K'])}, K from 1."
        )
    return POSITIONS[position]


def _span(chat: TokenizedChat, position: str) -> tuple[int, int]:
    start, stop = check_position(position)(chat)
    if start >= stop:
        raise SteeringError(
            f"A chat of {len(chat.ids)} tokens has none at position {position!r}; "
            "response_mean needs chats that end with an answer, post_instruction a chat template."
        )
    return start, stop


@torch.inference_mode()
def _read_batch(
    lm: LanguageModel,
    rows: list[list[int]],
    prefix: Prefix,
    layers: list[int],
    site: str,
    spans: list[list[tuple[int, int]]],
    states: Float[Tensor, "positions chats layers d_model"],
    places: list[int],
) -> None:
    """Run one right-padded batch and write the mean states over every row's spans into `states[:, places]`."""
    input_ids, attention_mask = pad(rows, lm.padding_id, lm.model.device)
    cache = prefix.for_rows(len(rows))

    def read(slot: int, hidden: Tensor) -> None:
        for number, some in enumerate(zip(*spans, strict=True)):
            means = [
                row[start - prefix.length : stop - prefix.length].mean(0, dtype=torch.float32)
                for row, (start, stop) in zip(hidden, some, strict=True)
            ]
            states[number, places, slot] = torch.stack(means).cpu()  # one transfer from the device

    handles = [_watch(lm.blocks[layer], site, partial(read, slot)) for slot, layer in enumerate(layers)]
    try:
        with stopping_at(lm, layers[-1]):
            lm.model(
                input_ids=input_ids[:, prefix.length :],
                attention_mask=attention_mask,
                past_key_values=cache,
                use_cache=cache is not None,
            )
    finally:
        for handle in handles:
            handle.remove()


def _width(lm: LanguageModel, site: str) -> int:
    if site not in SITES:
        raise SteeringError(f"There is no site {site!r} to read; choose from {quoted(SITES)}.")
    return lm.d_model if site == "block" else projection_weight(output_projection(lm.blocks[0])).shape[1]


def _watch(block: nn.Module, site: str, read: Callable[[Tensor], None]) -> RemovableHandle:
    """Call `read` with the states at a block's site whenever it runs."""
    if site == "block":
        return block.register_forward_hook(lambda _module, _inputs, output: read(block_output(output)))
    return output_projection(block).register_forward_pre_hook(lambda _module, inputs: read(inputs[0]))


class _LastLayerReached(Exception):  # noqa: N818 - a signal, no error
    """Ends a forward pass."""


@contextmanager
def stopping_at(lm: LanguageModel, layer: int) -> Iterator[None]:
    """End forward passes inside when a block is done, below the layers and the LM head that nobody asked for."""

    def stop(_module: nn.Module, _inputs: object, _output: object) -> None:
        raise _LastLayerReached

    handle = lm.blocks[layer].register_forward_hook(stop)
    try:
        yield
    except _LastLayerReached:
        pass
    finally:
        handle.remove()
