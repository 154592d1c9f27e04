"""What control tokens are trained by: the likelihood of answers behind their own levels, and behind wrong ones.

With `NLL` an answer's mean negative log-likelihood a token:

    CLM     NLL(answer | own levels, prompt)
    ExMATE  NLL(answer | own levels, prompt) + λ · exp(-NLL(answer | wrong levels, prompt))

CLM is conditional language modeling. ExMATE (exponential maximum average treatment effect) is Tuan et al.'s (2023,
arXiv 2212.10515); formula and λ as in github.com/Pascalson/CausalDialogue, main.py, which takes the exponential of a
batch's mean where this takes each answer's. How arXiv 2404.01295 weighs it wasn't to be had.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from steering import LanguageModel
from steering.data.chats import Message
from steering.models.batching import pad

EXMATE_WEIGHT = 0.05
"""λ."""


def answer_nll(lm: LanguageModel, prompts: Sequence[str], answers: Sequence[str]) -> Float[Tensor, " rows"]:
    """Mean negative log-likelihood a token of each answer, in nats, with gradients.

    Args:
        lm: the model, as it stands.
        prompts: what is asked, control tokens included.
        answers: one for each.
    """
    pairs = zip(prompts, answers, strict=True)
    chats = [
        lm.tokenize((Message(role="user", content=prompt), Message(role="assistant", content=answer)))
        for prompt, answer in pairs
    ]
    ids, mask = pad([chat.ids for chat in chats], lm.padding_id, lm.input_device)
    logits = lm.model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
    losses = []
    for row, chat in enumerate(chats):
        start, end = chat.prompt_length, len(chat.ids)
        losses.append(torch.nn.functional.cross_entropy(logits[row, start - 1 : end - 1], ids[row, start:end]))
    return torch.stack(losses)


def clm(own: Float[Tensor, " rows"]) -> Tensor:
    """Mean of the losses behind the own levels.

    Args:
        own: `answer_nll` behind the own levels.
    """
    return own.mean()


def exmate(own: Float[Tensor, " rows"], wrong: Float[Tensor, " rows"]) -> Tensor:
    """CLM, and what makes the same answers unlikely behind wrong levels.

    Args:
        own: `answer_nll` behind the own levels.
        wrong: `answer_nll` behind wrong ones.
    """
    return own.mean() + EXMATE_WEIGHT * (-wrong).exp().mean()
