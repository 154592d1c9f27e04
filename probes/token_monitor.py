"""A live reading of directions or probes, token by token, while the model answers."""

from collections.abc import Mapping

import torch

from steering import LanguageModel
from steering.data.chats import ChatLike
from steering.explore.token_readings import Readout, TokenReading, as_readings, watched
from steering.models.greedy import greedy_options


@torch.inference_mode()
def monitor(
    lm: LanguageModel, prompt: ChatLike, readouts: Mapping[str, Readout], max_new_tokens: int = 64
) -> list[TokenReading]:
    """Answer a prompt greedily and read the activations of every token, the prompt's and the answer's.

    An attached dial is in force, and its moves at a block are read too. The last token written is not read.

    Args:
        lm: the model.
        prompt: a text, or a chat that ends with the user's turn.
        readouts: what is read, by the names that readings have.
        max_new_tokens: length of the answer at most.

    Returns:
        The tokens in their order, each with its readings.
    """
    ids = lm.tokenize(prompt).ids
    options = {
        "max_new_tokens": max_new_tokens,
        "pad_token_id": lm.padding_id,
        "use_cache": True,
    }  # so each passes once
    with watched(lm, readouts) as found:
        output = lm.model.generate(  # type: ignore[operator]
            input_ids=torch.tensor([ids], device=lm.input_device),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long, device=lm.input_device),
            **greedy_options(lm.model, options),
        )
    return as_readings(lm, output[0].tolist(), len(ids), found)
