"""What a model's passes allow, tried out once on a few tokens: no list of families is ever complete.

A trial compares the residual stream behind every block with that of one plain pass. It needs the model without hooks
that move it. A trial that fails, in whatever way, only means that rows run whole.
"""

from collections.abc import Callable
from functools import wraps
from typing import TypeAlias
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from steering.activations.prefix import Prefix, run_into
from steering.models.decoder_blocks import block_output, with_block_output
from steering.models.hook_points import reading_hook, temporary_hooks
from steering.models.language_model import LanguageModel

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
    State-space and hybrid models have other states; PaliGemma's prompts and BERT's texts look ahead.
    """
    ids = _ids(lm)
    half = len(ids) // 2
    whole: States = []
    with temporary_hooks(_reading(lm, whole)):
        made = lm.model(input_ids=torch.tensor([ids], device=lm.model.device), use_cache=True).get("past_key_values")
    if type(made) is not DynamicCache or not all(
        type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in made.layers
    ):
        return False
    before: States = []
    behind: States = []
    cache = DynamicCache(config=lm.model.config)
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
        run_into(lm, DynamicCache(config=lm.model.config), ids)
    with temporary_hooks([(lm.blocks[0], repeat), *_reading(lm, spread)]):
        run_into(lm, DynamicCache(config=lm.model.config), ids)
    return all(len(state) == 2 for state in spread) and _agree([state.expand(2, -1, -1) for state in alone], spread)


def _ids(lm: LanguageModel) -> list[int]:
    return list(lm.tokenizer(TRIED).input_ids)


def _reading(lm: LanguageModel, states: States) -> list[tuple[nn.Module, Callable[..., object]]]:
    return [reading_hook(block, "resid_post", states.append) for block in lm.blocks]


def _agree(expected: States, found: States) -> bool:
    """Whether every token's states agree within what rounding does to a model's depth: the root of the dtype's step."""
    errors = [
        (one.float() - other.float()).norm(dim=-1) / one.float().norm(dim=-1)
        for one, other in zip(expected, found, strict=True)
    ]
    return all(bool((error < torch.finfo(one.dtype).eps ** 0.5).all()) for error, one in zip(errors, expected, strict=True))
