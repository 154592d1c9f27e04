"""Telling the dials of a model where prompts end, by whoever runs passes and may not know of any dial."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from transformers import PreTrainedModel

from steering.hooks.token_tracker import TokenTracker
from steering.models.chat_tokens import TokenizedChat


@contextmanager
def told_prompts(model: PreTrainedModel, rows: Sequence[TokenizedChat]) -> Iterator[None]:
    """Around one pass over `rows`: dials attached to the model place prompts as in `generate`.

    What a template writes between a prompt and its answer counts as generated. Where it writes nothing, a dial places
    whole rows by itself.
    """
    lengths = torch.tensor([row.generation_start for row in rows])
    with ExitStack() as stack:
        if any(len(row.ids) > row.generation_start for row in rows):
            for hook in model._forward_pre_hooks.values():
                tracker = getattr(hook, "__self__", None)
                if isinstance(tracker, TokenTracker):
                    stack.enter_context(tracker.prompts_of(lengths))
        yield
