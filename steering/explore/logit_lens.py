"""The logit lens of a direction: the tokens that it writes and suppresses at each layer, all later blocks skipped.

The lens is nostalgebraist's (2020, lesswrong.com/posts/AcKRB8wDpdaN6v6ru), held to a direction and no activation, as
Geva et al. do (2022, arXiv 2203.14680). A direction d is a difference, and the final norm isn't linear. So it is taken
at unit scale, `d̂ = d / rms(d)`, both ways through `f`, the model's own path from its last block to the logits:

    ½ [f(d̂) - f(-d̂)], less its mean over the vocabulary, which moves no probability.

Biases cancel: with an RMSNorm of weight γ that is `W_U (γ ⊙ d / rms(d))`, with a LayerNorm
`W_U (γ ⊙ (d - mean(d)) / std(d))`. Up to a positive factor it is what adding d changes any activation's logits by while
the norm's scale is held, and it is the limit of `½ [f(h + s d) - f(h - s d)]` for large s, whatever the activation h.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from steering.display.html import table
from steering.errors import SteeringError
from steering.models.decoder_blocks import block_output, with_block_output
from steering.models.language_model import LanguageModel
from steering.vectors.steering_vector import SteeringVector
from steering.vectors.summary import VectorSummary


@dataclass(frozen=True)
class LayerTokens:
    """The tokens that a direction moves most at one layer, each with the difference that it makes to the logit."""

    layer: int
    writes: tuple[tuple[str, float], ...]
    """Largest differences first."""
    suppresses: tuple[tuple[str, float], ...]
    """Smallest differences, which are negative, first."""

    @property
    def row(self) -> tuple[str, str, str]:
        """Layer, written and suppressed tokens as text for a table; quoted, so that white space shows.

        Example:
            >>> LayerTokens(3, writes=((" sorry", 2.04), ("\\n", 1.5)), suppresses=((" sure", -1.0),)).row
            ('3', "' sorry' +2.0, '\\\\n' +1.5", "' sure' -1.0")
        """
        written, suppressed = (
            ", ".join(f"{token!r} {difference:+.1f}" for token, difference in tokens)
            for tokens in (self.writes, self.suppresses)
        )
        return str(self.layer), written, suppressed


@dataclass(frozen=True)
class LogitLens(Sequence[LayerTokens]):
    """What `logit_lens` found, a layer each. A notebook shows the vector, its figures, and a table of the tokens."""

    vector: VectorSummary
    layers: tuple[LayerTokens, ...]

    def __getitem__(self, place: Any) -> Any:
        return self.layers[place]

    def __len__(self) -> int:
        return len(self.layers)

    def _repr_html_(self) -> str:
        return self.vector.html() + table(["layer", "writes", "suppresses"], [layer.row for layer in self.layers])


def logit_lens(
    lm: LanguageModel, vector: SteeringVector, layers: Sequence[int] | None = None, count: int = 8
) -> LogitLens:
    """The tokens that a vector writes and suppresses at each layer, through the model's final norm and unembedding.

    Args:
        lm: the model that the vector was made on.
        vector: directions of width d_model.
        layers: some of the vector's layers; all of them by default.
        count: tokens in each list.

    Returns:
        One entry a layer, in the order asked for. Differences are in logits at a direction of root mean square 1:
        they compare tokens and layers, and don't grow with the vector's norm.

    Raises:
        SteeringError: for a vector of another width, a layer that it doesn't have, or a zero direction.

    Example:
        >>> [found] = logit_lens(lm, vector, layers=[2], count=3)
        >>> found.layer, len(found.writes), len(found.suppresses)
        (2, 3, 3)
    """
    layers = vector.layers if layers is None else layers
    differences = logit_differences(lm, torch.stack([vector[layer] for layer in layers]))
    count = min(count, differences.shape[1])
    found = (
        LayerTokens(layer, _tokens(lm, row.topk(count)), _tokens(lm, row.topk(count, largest=False)))
        for layer, row in zip(layers, differences, strict=True)
    )
    return LogitLens(vector.summary(), tuple(found))


@torch.inference_mode()
def logit_differences(lm: LanguageModel, directions: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows vocabulary"]:
    """What directions change the logits by at unit scale: see the module's docstring. Float32 on the CPU.

    The model runs on one token, and its last block's output is replaced: what follows there is the model's own,
    whatever its final norm, projections and logit scale are called.
    """
    if directions.shape[1] != lm.d_model:
        found = f"the model's width {lm.d_model}, found {directions.shape[1]}"
        raise SteeringError(f"Expected directions of {found}; use a vector that was made on this model.")
    rms = directions.float().square().mean(1, keepdim=True).sqrt()
    if not rms.all():
        raise SteeringError("Expected directions to look at, found a zero direction; leave its layer out.")
    scaled = torch.cat([directions / rms, -directions / rms]).unsqueeze(1)

    def replace(_block: nn.Module, _inputs: object, output: object) -> object:
        hidden = block_output(output)
        return with_block_output(output, scaled.to(hidden.device, hidden.dtype))

    with lm.blocks[-1].register_forward_hook(replace):
        ids = torch.full((len(scaled), 1), lm.padding_id, device=lm.input_device)
        logits: Tensor = lm.model(input_ids=ids, use_cache=False).logits[:, 0, : len(lm.tokenizer)]
    up, down = logits.float().cpu().chunk(2)
    differences = (up - down) / 2
    return differences - differences.mean(1, keepdim=True)


def _tokens(lm: LanguageModel, found: torch.return_types.topk) -> tuple[tuple[str, float], ...]:
    return tuple((_text(lm, int(token)), float(value)) for value, token in zip(*found, strict=True))


def _text(lm: LanguageModel, token: int) -> str:
    """A token's text inside a sentence (at its start some decoders strip a space), its name where that is no text."""
    text = str(lm.tokenizer.decode([token, token])).removeprefix(str(lm.tokenizer.decode([token])))
    return str(lm.tokenizer.convert_ids_to_tokens(token)) if "\N{REPLACEMENT CHARACTER}" in text else text
