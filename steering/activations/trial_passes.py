"""What a model's passes allow, tried out once on a few tokens: no list of families is ever complete.

A trial compares the residual stream behind every block with that of one plain pass. It needs the model without hooks
that move it. A trial that fails, in whatever way, only means that rows run whole.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from steering.activations.prefix import NOTHING_SHARED, Prefix, empty_cache, run_into, side_by_side
from steering.models.batching import pad
from steering.models.decoder_blocks import block_output, with_block_output
from steering.models.greedy import greedy_options
from steering.models.hook_points import ForwardHook, reading_hook, temporary_hooks
from steering.models.language_model import LanguageModel
from steering.models.llama_cpp.sequence_cache import Columns, SequenceCache

TRIED = "What does the tide do at the shore at night, and why?"
"""Enough tokens that one which sees what follows it, or loses what came before, moves."""

Trial: TypeAlias = Callable[[LanguageModel], bool]
States: TypeAlias = list[Float[Tensor, "rows seq d_model"]]
"""The residual stream behind every block."""


def _tried_once(trial: Trial) -> Trial:
    """Remember a trial's outcome as long as the model lives; one that raises has failed."""
    outcomes: WeakKeyDictionary[PreTrainedModel, bool] = WeakKeyDictionary()

    @wraps(trial)
    def outcome(lm: LanguageModel) -> bool:
        if lm.model not in outcomes:
            try:
                with torch.inference_mode():
                    outcomes[lm.model] = trial(lm)
            except Exception:  # families raise whatever their shapes make them raise
                outcomes[lm.model] = False
        return outcomes[lm.model]

    return outcome


@_tried_once
def goes_on_from_prefixes(lm: LanguageModel) -> bool:
    """Whether passes can go on from the keys and values of what rows begin with.

    That takes a cache of keys and values by token and nothing else, and tokens that see none of those behind them.
    State-space and hybrid models have other states; PaliGemma's prompts and BERT's texts look ahead; Qwen-VL keeps
    something of the rows it last wrote for, and takes it up behind a cache.
    """
    ids = _ids(lm)
    _written(lm, [ids] * 3)
    half = len(ids) // 2
    whole: States = []
    with temporary_hooks(_reading(lm, whole)):
        made = lm.model(input_ids=torch.tensor([ids], device=lm.input_device), use_cache=True).get("past_key_values")
    if type(made) not in (DynamicCache, SequenceCache) or not all(
        type(layer) in (DynamicLayer, DynamicSlidingWindowLayer, Columns) for layer in made.layers
    ):
        return False
    before: States = []
    behind: States = []
    cache = empty_cache(lm)
    with temporary_hooks(_reading(lm, before)):
        run_into(lm, cache, ids[:half])
    with temporary_hooks(_reading(lm, behind)):
        Prefix(half, cache).run(lm, [ids, ids[:-2]])
    return (
        _agree([state[:, :half] for state in whole], before)
        and _agree([state[0, half:] for state in whole], [state[0] for state in behind])
        and _agree([state[0, half:-2] for state in whole], [state[1, :-2] for state in behind])
    )


@_tried_once
def spreads_rows(lm: LanguageModel) -> bool:
    """Whether one row can become several behind a block: not where positions or masks are made for the rows given."""
    ids = _ids(lm)
    alone: States = []
    spread: States = []

    def repeat(_block: nn.Module, _inputs: object, output: object) -> object:
        return with_block_output(output, block_output(output).repeat(2, 1, 1))

    with temporary_hooks(_reading(lm, alone)):
        run_into(lm, empty_cache(lm), ids)
    with temporary_hooks([(lm.blocks[0], repeat), *_reading(lm, spread)]):
        run_into(lm, empty_cache(lm), ids)
    return all(len(state) == 2 for state in spread) and _agree([state.expand(2, -1, -1) for state in alone], spread)


@_tried_once
def writes_on_from_caches(lm: LanguageModel) -> bool:
    """Whether `generate` goes on from the keys and values of several prompts as it does from the prompts."""
    ids = _ids(lm)[:12]  # fewer than any sliding window, as where it is used
    rows = [ids, ids[: len(ids) // 2]]
    caches = [empty_cache(lm) for _ in rows]
    for row, cache in zip(rows, caches, strict=True):
        run_into(lm, cache, row[:-2])
    together = side_by_side(lm, caches, [len(row) for row in rows], rows=1)
    return _writes_as_alone(lm, rows, past_key_values=together)


@_tried_once
def pads_right(lm: LanguageModel) -> bool:
    """Whether a row's states are the same with padding behind it: not where tokens see what is padded."""
    if goes_on_from_prefixes(lm):  # tokens there see none of those behind them
        return True
    ids = _ids(lm)
    rows = [ids, ids[: len(ids) // 2]]
    alone: list[States] = [[], []]
    padded: States = []
    for row, states in zip(rows, alone, strict=True):
        with temporary_hooks(_reading(lm, states)):
            NOTHING_SHARED.run(lm, [row])
    with temporary_hooks(_reading(lm, padded)):
        NOTHING_SHARED.run(lm, rows)
    return all(
        _agree([state[0] for state in states], [state[number, : len(row)] for state in padded])
        for number, (row, states) in enumerate(zip(rows, alone, strict=True))
    )


@_tried_once
def writes_batches(lm: LanguageModel) -> bool:
    """Whether `generate` writes for two rows of one length what it writes for each alone: RWKV's state can't."""
    if writes_on_from_caches(lm):  # for several rows
        return True
    ids = _ids(lm)
    rows = [ids, ids[::-1]]
    return _writes_as_alone(lm, rows)


@_tried_once
def pads_left(lm: LanguageModel) -> bool:
    """Whether `generate` writes the same with padding in front: not where padding enters a state, as in RWKV's."""
    ids = _ids(lm)
    rows = [ids, ids[: len(ids) // 2]]
    return _writes_as_alone(lm, rows)


def _writes_as_alone(lm: LanguageModel, rows: list[list[int]], **options: Any) -> bool:
    """Whether `generate` writes for rows together, under these options, what it writes for each by itself."""
    return _agree([torch.cat([_written(lm, [row]) for row in rows])], [_written(lm, rows, **options)])


def _ids(lm: LanguageModel) -> list[int]:
    return list(lm.tokenizer(TRIED).input_ids)


def _written(lm: LanguageModel, rows: list[list[int]], **options: Any) -> Float[Tensor, "rows tokens vocabulary"]:
    """The logits of two new tokens for each row; the first is given, so that rounding can't choose another."""
    given = lm.tokenizer(TRIED).input_ids[-1:]
    input_ids, attention_mask = pad(rows, lm.padding_id, lm.input_device, side="left")
    options |= {"max_new_tokens": 2, "output_logits": True, "return_dict_in_generate": True}
    output = lm.model.generate(  # type: ignore[operator]
        input_ids=input_ids,
        attention_mask=attention_mask,
        pad_token_id=lm.padding_id,
        eos_token_id=None,
        prefix_allowed_tokens_fn=lambda *_: given,
        **greedy_options(lm.model, options),
    )
    return torch.stack(output.logits, dim=1).to(lm.model.dtype)  # `generate` makes them float32


def _reading(lm: LanguageModel, states: States) -> list[tuple[nn.Module, ForwardHook]]:
    return [reading_hook(block, "resid_post", states.append) for block in lm.blocks]


def _agree(expected: Sequence[Tensor], found: Sequence[Tensor]) -> bool:
    """Whether the last axes agree within what rounding does in a model's depth: the root of the dtype's step."""
    return all(
        bool(((a.float() - b.float()).norm(dim=-1) < torch.finfo(a.dtype).eps ** 0.5 * a.float().norm(dim=-1)).all())
        for a, b in zip(expected, found, strict=True)
    )
