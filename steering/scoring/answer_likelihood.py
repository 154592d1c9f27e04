"""How likely a model finds answers that are given, by teacher forcing: no text is generated and no judge asked.

An attached dial is in force; pass it too where moved tokens or a gate depend on where answers begin.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from steering.activations.shared_prefix import takes_padding
from steering.data.chats import ChatLike, as_chat
from steering.data.contrast import ContrastPair
from steering.errors import SteeringError
from steering.hooks.dial import Dial
from steering.models.batching import like_lengths, pad
from steering.models.chat_tokens import TokenizedChat
from steering.models.language_model import LanguageModel

TOKENS_PER_BATCH = 1024
"""Small, because the logits of every token are held: (tokens, vocabulary) in float32."""


def answer_log_likelihood(
    lm: LanguageModel, chats: Sequence[ChatLike], dial: Dial | None = None
) -> Float[Tensor, " chats"]:
    """Mean log-likelihood a token, in nats, of the answer that each chat ends with.

    Args:
        lm: the model.
        chats: chats that end with an answer.
        dial: the attached dial, where what it moves depends on where answers begin.

    Returns:
        A tensor (chats,) in float32.

    Raises:
        SteeringError: for a chat whose answer has no tokens.
    """
    tokenized = [lm.tokenize(chat) for chat in chats]
    for chat, given in zip(tokenized, chats, strict=True):
        if len(chat.ids) == chat.prompt_length:
            last = as_chat(given)[-1].content
            raise SteeringError(f"Expected chats that end with an answer, found one that ends with {last!r}; add one.")
    scores = torch.empty(len(chats))
    for places in like_lengths([len(chat.ids) for chat in tokenized], TOKENS_PER_BATCH, takes_padding(lm)):
        batch = [tokenized[place] for place in places]
        for place, chat, predictions in zip(places, batch, answer_log_probabilities(lm, batch, dial), strict=True):
            answer = torch.tensor(chat.ids[chat.prompt_length :], device=predictions.device)
            scores[place] = predictions.gather(1, answer[:, None]).mean()
    return scores


def preference_margin(
    lm: LanguageModel, pairs: Sequence[ContrastPair], dial: Dial | None = None
) -> Float[Tensor, " pairs"]:
    """How much likelier the model finds each pair's positive answer than its negative one, in nats a token.

    On the built-in `helpfulness` set this is the margin of engaged over evasive answers.

    Args:
        lm: the model.
        pairs: pairs of answers.
        dial: the attached dial, where what it moves depends on where answers begin.

    Returns:
        A tensor (pairs,) in float32.

    Example:
        >>> from steering import ContrastSet, preference_margin
        >>> preference_margin(lm, ContrastSet.builtin("helpfulness").spread(2)).shape
        torch.Size([2])
    """
    chats = [pair.positive for pair in pairs] + [pair.negative for pair in pairs]
    scores = answer_log_likelihood(lm, chats, dial)
    return scores[: len(pairs)] - scores[len(pairs) :]


@torch.inference_mode()
def answer_log_probabilities(
    lm: LanguageModel, batch: Sequence[TokenizedChat], dial: Dial | None
) -> Iterator[Float[Tensor, "answer vocabulary"]]:
    """Log-probabilities of each token of the answer that each chat ends with, or of its first where there is none.

    One pass over the chats, padded on the right. Logits of the prompts, most of the work in a small model, are not made
    where the model can leave them out.
    """
    input_ids, attention_mask = pad([chat.ids for chat in batch], lm.padding_id, lm.input_device)
    first = min(chat.prompt_length for chat in batch) - 1
    kept = torch.arange(first, input_ids.shape[1], device=lm.input_device)
    leaves_out = "logits_to_keep" in inspect.signature(lm.model.forward).parameters
    options = {"logits_to_keep": kept} if leaves_out else {}
    declared = nullcontext() if dial is None else dial.prompt_lengths([chat.generation_start for chat in batch])
    with declared:
        logits = lm.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **options).logits
    logits = logits if leaves_out else logits[:, first:]
    for chat, row in zip(batch, logits, strict=True):
        length = max(1, len(chat.ids) - chat.prompt_length)
        yield row[chat.prompt_length - 1 - first :][:length].float().log_softmax(-1)
