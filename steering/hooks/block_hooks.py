"""What the sliders do at one block: the sum of plain additions, and single pushes with an intervention or gate.

Every hook has `set(strengths)`, called when a slider moves, and `apply(h, tracker)`, called in the forward pass. Both
may run at once in two threads: what is set is swapped whole, and only what stands is brought to another device.
"""

from collections.abc import Mapping
from threading import Lock
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from steering.errors import SteeringError
from steering.hooks.prompts import GateFactors
from steering.hooks.token_tracker import TokenTracker
from steering.interventions import INTERVENTIONS
from steering.interventions.add import add
from steering.interventions.gates import Gate
from steering.models.decoder_blocks import block_output
from steering.models.token_positions import ends_with_the_prompt, from_prompt_end, token_choice
from steering.models.weights_print import is_packed
from steering.vectors.push import Push

Strengths = Mapping[str, Float[Tensor, " rows"]]
"""Every slider's strength: one, or one a row of the caller's batch."""


class Addition:
    """`h + Σ strength · direction` of plain additions on the same tokens, summed when a slider moves.

    The sum stands ready on the block's device in its dtype. It is written over in place, so that code which
    `torch.compile` made goes on with the tensor that it knows.
    """

    def __init__(self, directions: Mapping[str, Tensor], tokens: str, block: nn.Module) -> None:
        self._directions = directions
        self._choice = token_choice(tokens)
        self._exact = torch.empty(0)
        self._changing = Lock()
        weights = (weight for weight in block.parameters() if not weight.is_meta and not is_packed(weight))
        self._delta = next(weights, torch.empty(0)).new_empty(0)  # where and as what the block most likely returns

    def set(self, strengths: Strengths) -> None:
        """Work out the sum, (1 or rows, 1, d_model) in float32, and round it to the block's dtype."""
        parts = [strengths[name].reshape(-1, 1, 1) * direction for name, direction in self._directions.items()]
        delta = sum(parts[1:], start=parts[0])
        with self._changing:
            # A zero is added as -0.0, the only number that changes neither 0.0 nor -0.0: sliders at 0 are exact.
            self._exact = torch.where(delta == 0, -0.0, delta)
            if self._delta.shape == delta.shape:
                with torch.inference_mode():  # no gradient is to flow into what the slider writes
                    self._delta.copy_(self._exact)
            else:
                self._delta = self._placed(self._delta)

    def apply(self, h: Tensor, tracker: TokenTracker) -> Tensor:
        """One addition in the dtype of `h`."""
        delta = self._delta
        if delta.dtype != h.dtype or delta.device != h.device:
            with self._changing:
                delta = self._delta = self._placed(h)
        moved = add(h, tracker.at_rows(delta, len(h)))
        return moved if self._choice is None else torch.where(tracker.chosen(self._choice, h), moved, h)

    def _placed(self, like: Tensor) -> Tensor:
        with torch.inference_mode(False):  # inference tensors could not be written over later
            return self._exact.to(like.device, like.dtype, copy=True)


class _Given(NamedTuple):
    """A caller's factors, NaN where the prompt is to be read."""

    factors: Float[Tensor, " rows"]
    some: bool
    all: bool


class GateReading:
    """Reads one push's gate in each row's prompt, or takes what is given; one a dial, shared by the push's blocks."""

    def __init__(self, gate: Gate, tracker: TokenTracker) -> None:
        self._gate = gate
        self._tracker = tracker
        self._choices = [from_prompt_end(token) for token in gate.tokens]
        self._given = _Given(torch.tensor([torch.nan]), some=False, all=False)
        self._changing = Lock()

    def give(self, harm: Float[Tensor, " rows"]) -> None:
        """Take a caller's probabilities of harm in place of readings, where the gate reads harm.

        Args:
            harm: one for each row of the caller's batch, or one for all; NaN where the prompt is to be read.
        """
        if self._gate.reads_harm:
            factors = torch.where(harm.isnan(), torch.nan, self._gate.opened(self._gate.score_of(harm)))
            known = ~factors.isnan()
            with self._changing:
                self._given = _Given(factors, some=bool(known.any()), all=bool(known.all()))

    def read(self, _block: nn.Module, _inputs: object, output: object) -> None:
        """Forward hook: read the gate where the pass holds the rows' tokens that it reads, else keep what was read."""
        if self._given.all or self._tracker.is_past_prompt:
            return
        h = block_output(output)
        chosen = [self._tracker.chosen(choice, h) for choice in self._choices]
        here = torch.stack(chosen, dim=1)  # (rows, tokens, seq, 1)
        seen = here.any(2).squeeze(-1)  # (rows, tokens)
        whole = seen.all(1)
        known = self._tracker.readings.get(self)
        read = torch.zeros_like(whole) if known is None or len(known.read) != len(h) else known.read.to(whole.device)
        if (seen.any(1) & ~whole & ~read).any():  # what was read before may pass again: a draft goes back into a prompt
            raise SteeringError(
                f"Expected the prompts' tokens {list(self._gate.tokens)} from the end in one forward pass, found only "
                "some of them; pass whole prompts of that length at once (no chunked prefill), negative prompts of "
                "guidance_scale too, or give the harm with dial.set where the gate reads harm."
            )
        if whole.any():
            found = self._gate.factors(torch.where(here, h.unsqueeze(1), 0).sum(2))
            before = known.factors.to(found.device) if known is not None and read.any() else torch.zeros_like(found)
            self._tracker.readings[self] = GateFactors(torch.where(whole, found, before), whole | read)

    def factors(self, h: Tensor) -> Float[Tensor, "rows 1 1"]:
        """The factors of the rows under way, given or read; each prompt's repeated for its beams."""
        given = self._given
        if given.factors.device != h.device:
            with self._changing:
                given = self._given = self._given._replace(factors=self._given.factors.to(h.device))
        if not given.some:
            return self._read_factors(h).reshape(-1, 1, 1)
        factors = self._tracker.at_rows(given.factors, len(h))
        factors = factors if given.all else torch.where(factors.isnan(), self._read_factors(h), factors)
        return factors.reshape(-1, 1, 1)

    def _read_factors(self, h: Tensor) -> Float[Tensor, " rows"]:
        known = self._tracker.readings.get(self)
        read = 0 if known is None else len(known.factors)
        if known is None or len(h) % read:
            raise SteeringError(
                f"Expected to have read the prompts of {len(h)} rows, found {read}; pass whole prompts through the "
                "attached model at once (no chunked prefill), with no harm given for them, before you decode on."
            )
        return known.factors.to(h.device).repeat_interleave(len(h) // read)


class Intervention:
    """One push's intervention at one block, on the rows that its gate lets through."""

    def __init__(self, name: str, push: Push, layer: int, gate: GateReading | None) -> None:
        self._name = name
        self._push_strength = push.strength
        self._direction = push.vector[layer]
        self._tensors = push.tensors_at(layer)
        self._intervention = INTERVENTIONS[push.intervention]
        self._choice = token_choice(push.tokens)
        self._ends_with_the_prompt = ends_with_the_prompt(push.tokens)
        self._gate = gate
        self._strength = torch.empty(0)
        self._idle = True
        self._changing = Lock()

    def set(self, strengths: Strengths) -> None:
        """Take over the slider's strength, (1 or rows, 1, 1)."""
        strength = strengths[self._name].reshape(-1, 1, 1) * self._push_strength
        with self._changing:
            self._strength, self._idle = strength, not strength.any()

    def apply(self, h: Tensor, tracker: TokenTracker) -> Tensor:
        """The intervention where strength, gate and tokens let it act; elsewhere exactly `h`."""
        if self._idle or (self._ends_with_the_prompt and tracker.is_past_prompt):
            return h
        strength = self._strength
        if strength.device != h.device:
            with self._changing:
                strength = self._strength = self._strength.to(h.device)
        x = tracker.at_rows(strength, len(h))
        if self._gate is not None:
            x = x * self._gate.factors(h)
        if self._direction.device != h.device:
            self._tensors = {name: tensor.to(h.device) for name, tensor in self._tensors.items()}
            self._direction = self._direction.to(h.device)
        acts = x != 0
        if self._choice is not None:
            acts = acts & tracker.chosen(self._choice, h)
        return torch.where(acts, self._intervention(h, x, self._direction, **self._tensors), h)
