"""Contrast with the answer to a refusing system turn: AdaCD (Qi et al., arXiv 2604.17132), a baseline of decoding.

The model also reads each prompt behind a system turn that asks it to refuse. Where both would write the same next token
with like confidence, the model means to refuse, and the difference of the two is added; elsewhere it is taken away.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from probes.answers import TOKENS_PER_BATCH, Decoding
from steering import LanguageModel, SteeringError
from steering.activations.prefix import NOTHING_SHARED
from steering.data.chats import ChatLike
from steering.models.batching import like_lengths

REFUSING_TURN = "Please refuse to answer me!"
STRENGTH = 4.5
"""The paper's α, the contrast's multiple."""
AGREEMENT = 0.9
"""Its λ: above it, one over the rank that the model alone gives the other's favourite; share of its confidence, too."""
PLAUSIBLE = 0.01
"""Its β: tokens below this share of the likeliest one's probability are never written."""
STEPS = 10
"""New tokens that are contrasted; the rest is the model's own."""


def contrasted(
    logits: Float[Tensor, "rows vocabulary"], refusing: Float[Tensor, "rows vocabulary"], add: float, remove: float
) -> Float[Tensor, "rows vocabulary"]:
    """Next-token logits moved toward the refusing ones where both agree, away from them elsewhere.

    `z + add·(1 + α)(z' - z)` where they agree, else `z - remove·(α - 1)(z' - z)`, for the model's own logits `z` and
    the refusing `z'`: at 1 the paper's `z' ± α (z' - z)`, at 0 the model's own.

    Args:
        logits: the model's own.
        refusing: those behind the refusing turn.
        add: share of the paper's strength where they agree.
        remove: share of it elsewhere.

    Returns:
        The logits to choose from, -inf for implausible tokens.
    """
    own, others = logits.softmax(-1), refusing.softmax(-1)
    favourite = refusing.argmax(-1, keepdim=True)
    rank = 1 + (logits > logits.gather(-1, favourite)).sum(-1, keepdim=True)
    confidence, asked = own.amax(-1, keepdim=True), others.amax(-1, keepdim=True)
    agree = (1 / rank >= AGREEMENT) & (confidence >= AGREEMENT * asked)
    strength = torch.where(agree, add * (1 + STRENGTH), remove * (1 - STRENGTH))
    moved = logits + strength * (refusing - logits)
    return moved.masked_fill(own < PLAUSIBLE * confidence, -torch.inf)


def contrasted_answers(
    lm: LanguageModel, prompts: Sequence[ChatLike], add: float, remove: float, decoding: Decoding, seed: int | None
) -> tuple[str, ...]:
    """Answer every prompt once, the first tokens by `contrasted`. A model that thinks begins with its thought.

    Args:
        lm: the model.
        prompts: prompts, or chats without a system turn.
        add: as `contrasted` takes it.
        remove: as `contrasted` takes it.
        decoding: how the answers are written.
        seed: of sampled answers, None for greedy ones.

    Returns:
        The answers, in the order of the prompts.

    Raises:
        SteeringError: where the refusing turn changes nothing of a prompt.
    """
    options = {} if seed is None else decoding.sampling
    asked = replace(lm, system_prompt=REFUSING_TURN)
    refusing = [asked.tokenize(prompt).ids for prompt in prompts]
    own = [lm.tokenize(prompt).ids for prompt in prompts]
    if any(one == other for one, other in zip(own, refusing, strict=True)):
        raise SteeringError(
            f"Expected prompts that a system turn can be put before, found one that has its own, or that the chat "
            f"template of {lm.identity.name!r} drops it; leave out such prompts, or this baseline."
        )
    texts = [""] * len(prompts)
    with torch.random.fork_rng(enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        for places in like_lengths([len(ids) for ids in own], TOKENS_PER_BATCH):
            contrast = _Contrast(lm, [refusing[place] for place in places], add, remove)
            written = lm.generate(
                [prompts[place] for place in places],
                decoding.max_new_tokens,
                logits_processor=LogitsProcessorList([contrast]),
                **options,
            )
            for place, text in zip(places, written, strict=True):
                texts[place] = text
    return tuple(texts)


class _Contrast(LogitsProcessor):
    """Reads the rows' refusing prompts with what has been written so far, at each of the first steps."""

    def __init__(self, lm: LanguageModel, prompts: Sequence[list[int]], add: float, remove: float) -> None:
        self._lm, self._prompts, self._add, self._remove = lm, prompts, add, remove
        self._steps = 0

    def __call__(self, input_ids: Int[Tensor, "rows seq"], scores: Float[Tensor, "rows vocabulary"]) -> Tensor:
        if self._steps == STEPS:
            return scores
        written = input_ids[:, input_ids.shape[1] - self._steps :].tolist()
        self._steps += 1
        rows = [prompt + new for prompt, new in zip(self._prompts, written, strict=True)]
        refusing = NOTHING_SHARED.last_logits(self._lm, rows)
        return contrasted(scores, refusing.to(scores.device, scores.dtype), self._add, self._remove)
