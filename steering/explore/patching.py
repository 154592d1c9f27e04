"""Activation patching: which layers carry what tells the two sides of contrast pairs apart.

The negative side's prompt is run with one activation taken over from the positive side's run, at the prompt's last
token. Where the score of the next token then becomes that of the positive side, the difference has arrived. Vig et al.
2020 (arXiv 2004.12265), Meng et al. 2022 (arXiv 2202.05262), Heimersheim & Nanda 2024 (arXiv 2404.15255).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from steering.activations.recording import check_layers
from steering.activations.shared_prefix import shared_prefix
from steering.data.chats import ChatLike
from steering.data.contrast import ContrastPair
from steering.errors import SteeringError
from steering.models.decoder_blocks import block_output, with_block_output
from steering.models.hook_points import ForwardHook, hooked_module, temporary_hooks
from steering.models.language_model import LanguageModel
from steering.progress import Progress
from steering.scoring.next_token import LogProbabilities, refusal_log_odds, refusal_tokens
from steering.vectors.push import MovedHookPoint, check_moved

NextTokenScore: TypeAlias = Callable[[LogProbabilities], Float[Tensor, " prompts"]]
"""A number for each prompt from its next token's log-probabilities, such as the difference between two tokens'."""


@dataclass(frozen=True)
class PatchingProfile:
    """Mean scores over the pairs: of both sides, and of the negative side as patched at each layer."""

    layers: tuple[int, ...]
    positive: float
    negative: float
    patched: tuple[float, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of the score's difference that each layer carries over: 0 is none, 1 is all of it.

        A ratio of means and not a mean of ratios, which single pairs with hardly a difference would rule.

        Raises:
            SteeringError: when the two means are equal.

        Example:
            >>> PatchingProfile(layers=(0, 1), positive=3.0, negative=1.0, patched=(1.0, 2.5)).shares
            (0.0, 0.75)
        """
        if self.positive == self.negative:
            raise SteeringError(
                f"Expected a score that tells the sides apart, found a mean of {self.positive:g} on both; use another."
            )
        return tuple((score - self.negative) / (self.positive - self.negative) for score in self.patched)


@torch.inference_mode()
def patching_profile(
    lm: LanguageModel,
    pairs: Iterable[ContrastPair],
    *,
    hook_point: MovedHookPoint = "resid_post",
    layers: Sequence[int] | None = None,
    score: NextTokenScore | None = None,
    progress: bool = True,
) -> PatchingProfile:
    """Patch the negative side's last prompt token with the positive side's activation, one layer at a time.

    All layers of a pair run in one batch of equal prompts, so nothing is padded. An attached dial is in force.

    Args:
        lm: the model.
        pairs: pairs of prompts, such as a `ContrastSet`; the sides may differ in length.
        hook_point: what is taken over: the residual stream after a block, or what its attention writes.
        layers: block indices, ascending; all by default.
        score: what is followed; by default the log odds that the answer begins as refusals do, as in `refusal_score`.
        progress: whether to show a progress bar.

    Returns:
        Mean scores, and the share of their difference that each layer carries over.

    Raises:
        SteeringError: for pairs of answers, no pair, an unknown hook point, or a layer that the model doesn't have.

    Example:
        >>> profile = patching_profile(lm, pairs, layers=[0, 3], progress=False)
        >>> round(profile.shares[-1], 3)  # the last block's output decides the next token
        1.0
    """
    chosen = list(pairs)
    if not chosen or any(pair.positive[-1].role == "assistant" for pair in chosen):
        found = "pairs of answers" if chosen else "no pair"
        raise SteeringError(
            f"Expected pairs of prompts, found {found}; use a set whose chats end with the user's turn."
        )
    check_moved(hook_point)
    layers = check_layers(lm, layers)
    modules = [hooked_module(lm.blocks[layer], hook_point) for layer in layers]
    if score is None:
        score = partial(refusal_log_odds, tokens=refusal_tokens(lm))
    bar = Progress(chosen, desc="patching", unit="pair", disable=not progress)
    scores = torch.stack([score(_log_probabilities(lm, pair, modules)) for pair in bar])
    positive, *patched, negative = scores.double().mean(0).tolist()
    return PatchingProfile(tuple(layers), positive, negative, tuple(patched))


def _log_probabilities(lm: LanguageModel, pair: ContrastPair, modules: Sequence[nn.Module]) -> LogProbabilities:
    """Log-probabilities after the positive side, after the negative side patched at each module, and as it is."""
    activations: list[Tensor] = []

    def read(_module: nn.Module, _inputs: object, output: object) -> None:
        activations.append(block_output(output)[0, -1].clone())

    def patch(row: int, _module: nn.Module, _inputs: object, output: object) -> object:
        hidden = block_output(output).clone()
        hidden[row, -1] = activations[row]
        return with_block_output(output, hidden)

    positive = _next_token(lm, pair.positive, 1, [(module, read) for module in modules])
    patches = [(module, partial(patch, row)) for row, module in enumerate(modules)]
    return torch.cat([positive, _next_token(lm, pair.negative, len(modules) + 1, patches)])


def _next_token(
    lm: LanguageModel, prompt: ChatLike, rows: int, hooks: Sequence[tuple[nn.Module, ForwardHook]]
) -> LogProbabilities:
    """Log-probabilities after equal prompts, one a row, with hooks on their last tokens."""
    ids = lm.tokenize_answer_start(prompt).ids
    prefix = shared_prefix(lm, [ids] * rows, len(ids) - 1)
    with temporary_hooks(hooks):
        logits = prefix.last_logits(lm, [ids] * rows)
    return logits.float().log_softmax(-1).cpu()
