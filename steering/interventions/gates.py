"""Gates: how far a slider acts on each prompt, read from the prompt's own activations.

A gate is read once, at the last prompt token of every batch row, when the prompt passes; it holds for that row while
the answer is written. The reading itself is kept by the dial: a gate is plain data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from steering.errors import SteeringError, quoted
from steering.interventions.projection import wide

Curve = Callable[[Float[Tensor, " rows"]], Float[Tensor, " rows"]]
CURVES: dict[str, Curve] = {
    "step": lambda score: (score > 0).to(score.dtype),
    "probability": torch.sigmoid,
    "line": lambda score: score,
}
"""From a prompt's score to the factor on the slider's value: 0 or 1 (CAST), a probe's probability, or the score itself
(AdaSteer)."""


Reads: TypeAlias = Literal["score", "harm", "harmlessness"]
"""What a gate's score is: a number of its own, or the log odds that the prompt is harmful, or that it isn't."""
SUREST = 20.0
"""Log odds, in nats, that stand for the probabilities 1 and 0."""


@dataclass(frozen=True, eq=False)
class Gate:
    """`clip(curve(score - threshold))`, the score being `Σ direction·h + bias` of the prompt's activations h.

    They are those at some of the prompt's tokens after one block. With `cosine`, h is taken at norm 1: CAST
    (arXiv 2409.05907) compares the angle, not the length.

    Raises:
        SteeringError: for an unknown curve or reading, and for directions, tokens or bounds that don't fit.

    Example:
        >>> from steering import Gate
        >>> gate = Gate(layer=1, direction=torch.tensor([1.0, 0.0]), bias=-2.0)
        >>> gate.factors(torch.tensor([[[3.0, 5.0]], [[1.0, 5.0]]]))
        tensor([1., 0.])
    """

    layer: int
    """Block whose output is read: at or below the first that the slider moves."""
    direction: Float[Tensor, "tokens d_model"]
    """One for each token that is read; for one token also without the first axis."""
    bias: float = 0.0
    curve: str = "step"
    cosine: bool = False
    low: float = 0.0
    high: float = 1.0
    tokens: tuple[int, ...] = (1,)
    """Tokens that are read, counted from the prompt's end: 1 is the last, the one that an answer follows on."""
    reads: Reads = "score"
    """What the score is; where it is `harm` or `harmlessness`, a caller's own probability can stand for it."""
    threshold: float = 0.0
    """Where the curve's 0 lies on the scale of the score."""

    def __post_init__(self) -> None:
        if self.reads not in get_args(Reads):
            raise SteeringError(f"There is no gate reading {self.reads!r}; choose from {quoted(get_args(Reads))}.")
        if self.curve not in CURVES:
            raise SteeringError(f"There is no gate curve {self.curve!r}; choose from {quoted(CURVES)}.")
        direction = torch.as_tensor(self.direction).detach().to("cpu", torch.float32)
        direction = direction.unsqueeze(0) if direction.ndim == 1 else direction
        tokens = len(self.tokens)
        if direction.ndim != 2 or len(direction) != tokens or not direction.isfinite().all():
            raise SteeringError(
                "Expected a gate's direction of finite numbers, one a coordinate for each token, "
                f"found {tuple(direction.shape)} for {tokens}."
            )
        if not tokens or min(self.tokens) < 1 or len(set(self.tokens)) < tokens:
            raise SteeringError(f"Expected different tokens from 1, the prompt's last, found {list(self.tokens)}.")
        numbers = torch.tensor([self.bias, self.threshold, self.low, self.high])
        if not (self.low <= self.high and numbers.isfinite().all()):
            found = f"bias {self.bias}, threshold {self.threshold}, {self.low} to {self.high}"
            raise SteeringError(f"Expected a gate's finite bias, threshold and bounds in order, found {found}.")
        object.__setattr__(self, "direction", direction)

    @property
    def d_model(self) -> int:
        """Width of the residual stream that is read."""
        return self.direction.shape[-1]

    @property
    def reads_harm(self) -> bool:
        """Whether a caller's own probability of harm can stand for what it reads."""
        return self.reads != "score"

    def factors(self, activations: Float[Tensor, "rows tokens d_model"]) -> Float[Tensor, " rows"]:
        """How far each prompt opens the gate.

        Args:
            activations: at the gate's tokens, in their order.

        Returns:
            The factor on the slider's strength for each row, in float32 at least.
        """
        return self.opened(self.score(activations))

    def score(self, activations: Float[Tensor, "rows tokens d_model"]) -> Float[Tensor, " rows"]:
        """What the gate reads of each prompt, with the bias in it.

        Args:
            activations: at the gate's tokens, in their order.

        Returns:
            A score for each row, in float32 at least.
        """
        h = wide(activations)
        h = torch.nn.functional.normalize(h, dim=-1) if self.cosine else h
        return einsum(h, self.direction.to(h.device, h.dtype), "rows tokens d, tokens d -> rows") + self.bias

    def opened(self, score: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        """The factor that each prompt's score stands for.

        Args:
            score: the readings, with the bias in them.
        """
        return CURVES[self.curve](score - self.threshold).nan_to_num(0.0).clamp(self.low, self.high)

    def harm(self, score: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        """The probability that a prompt is harmful, by its score.

        Args:
            score: the readings, with the bias in them.

        Raises:
            SteeringError: for a gate that reads something else.
        """
        return torch.sigmoid(self._sign() * score)

    def score_of(self, harm: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        """The score that the gate would have read of prompts that are harmful with these probabilities.

        Args:
            harm: from 0 to 1; both ends stand for log odds of 20 nats, so that every score is finite.

        Raises:
            SteeringError: for a gate that reads something else.
        """
        return self._sign() * torch.logit(harm).clamp(-SUREST, SUREST)

    def _sign(self) -> float:
        if not self.reads_harm:
            raise SteeringError("Expected a gate that reads harm or harmlessness, found one that reads a plain score.")
        return 1.0 if self.reads == "harm" else -1.0


def threshold_gate(
    layer: int, direction: Tensor, positive: Float[Tensor, "rows d_model"], negative: Float[Tensor, "rows d_model"]
) -> Gate:
    """Open where the cosine with a condition direction is above the threshold of the best F1 (CAST, arXiv 2409.05907).

    `positive` are activations on which the slider is to act; the threshold is searched on the given ones.
    """
    from sklearn.metrics import precision_recall_curve

    unit = torch.nn.functional.normalize(direction.float(), dim=-1)
    activations = torch.nn.functional.normalize(torch.cat([positive, negative]).float(), dim=-1)
    labels = [1] * len(positive) + [0] * len(negative)
    scores = (activations @ unit).double().numpy()
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / (precision + recall).clip(min=1e-12)
    best = int(f1[:-1].argmax())
    below = scores[scores < thresholds[best]]
    # Half-way to the next activation below: the step is open above its threshold, not at it.
    threshold = (thresholds[best] + below.max()) / 2 if len(below) else thresholds[best] - 1e-3
    return Gate(layer, unit, bias=-float(threshold), cosine=True)


def linear_gate(
    layer: int,
    direction: Tensor,
    full: Float[Tensor, "rows d_model"],
    none: Float[Tensor, "rows d_model"],
    low: float = 0.0,
    high: float = 1.0,
) -> Gate:
    """Linear in the projection on a direction, clipped: 1 at the mean of `full`, 0 at that of `none`.

    This is AdaSteer's (arXiv 2504.09466). Raises SteeringError where both means have the same projection.
    """
    one, zero = ((side.double() @ direction.double()).mean().item() for side in (full, none))
    if one == zero:
        raise SteeringError(f"Both kinds of prompts have the mean projection {one:g}; no line goes through them.")
    return Gate(layer, direction / (one - zero), bias=-zero / (one - zero), curve="line", low=low, high=high)
