"""The pushes of all sliders, by the blocks that they move: what the hooks of an attached dial do, for rows of a batch.

As behind a hooked block, plain additions come first, then the other pushes in order. Neighbours that add are summed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from steering.errors import SteeringError
from steering.interventions import INTERVENTIONS
from steering.models.llama_cpp.context import Room
from steering.models.token_positions import TokenChoice, needs_answer_start, token_choice
from steering.vectors.push import Push
from steering.vectors.slider import Slider, check_axis_names, check_reads_harm

Strengths = Float[Tensor, "rows pushes"]
Acts = Bool[Tensor, "rows pushes"]


Change = Callable[[Float[Tensor, "rows d_model"]], Float[Tensor, "rows d_model"]]
"""What happens to rows at a block."""


@dataclass(frozen=True, eq=False)
class Additions:
    """`h + Σ strength · direction` of some pushes."""

    pushes: list[int]
    directions: Float[Tensor, "added d_model"]

    def on(self, strengths: Strengths, acts: Acts) -> Change:
        """What it does to rows, each with its strengths, where it acts on them."""
        added = torch.where(acts, strengths, 0.0)[:, self.pushes] @ self.directions
        return lambda h: h.add_(added)


@dataclass(frozen=True, eq=False)
class Intervention:
    """One push with an intervention of another kind."""

    pushes: list[int]
    name: str
    direction: Float[Tensor, " d_model"]
    tensors: Mapping[str, Float[Tensor, " d_model"]]

    def on(self, strengths: Strengths, acts: Acts) -> Change:
        """What it does to rows, each with its strength, where it acts on them."""
        x, here = strengths[:, self.pushes].unsqueeze(-1), acts[:, self.pushes]

        def change(h: Tensor) -> Tensor:
            moved = INTERVENTIONS[self.name](h.unsqueeze(1), x, self.direction, **self.tensors).squeeze(1)
            return torch.where(here, moved, h)

        return change


Move = Additions | Intervention


class Pushes:
    """What the sliders do, and to which tokens.

    Args:
        sliders: by name.
        n_layers: the model's blocks.
        d_model: the width of what they put out.
        tells_thoughts: whether it is known where thoughts end and answers start.

    Raises:
        SteeringError: for a slider that moves something else than this model's blocks, or thoughts of a model that
            isn't known to think.
    """

    def __init__(self, sliders: Mapping[str, Slider], n_layers: int, d_model: int, tells_thoughts: bool) -> None:
        check_axis_names(sliders)
        self.sliders = sliders
        self.named = [(name, push) for name, slider in sliders.items() for push in slider.pushes]
        """Every push with its slider's name."""
        self.n_layers, self.d_model = n_layers, d_model
        for name, push in self.named:
            self._check(name, push, tells_thoughts)
        self.gates = [push.gate for _, push in self.named]
        self.choices: list[tuple[TokenChoice, list[int]]] = self._by_choice()
        """Every choice of tokens with the pushes that move those; pushes on all tokens are left out."""
        self.needs_answer_start = tells_thoughts and any(needs_answer_start(push.tokens) for _, push in self.named)
        self.needs_prompt = any(push.gate is not None or push.tokens != "all" for _, push in self.named)
        """Whether it matters which tokens are the prompt's."""
        self.deepest = max((token for gate in self.gates if gate for token in gate.tokens), default=1)
        """How many tokens from a prompt's end on gates read."""
        self._per_strength = torch.tensor([push.strength for _, push in self.named])
        layers = {layer for _, push in self.named for layer in push.layers}
        self.moves = {layer: self._moves_at(layer) for layer in sorted(layers)}
        """What happens behind each block, in order."""
        self.at_layer: dict[int, list[int]] = {
            layer: [number for number, (_, push) in enumerate(self.named) if layer in push.layers] for layer in layers
        }
        """The pushes that move each block."""

    def strengths(self, values: Mapping[str, float]) -> Float[Tensor, " pushes"]:
        """How strong every push is before its gate.

        Args:
            values: the sliders' values; those that aren't named are at 0.
        """
        by_name = {
            name: float(slider.strength(torch.tensor([values.get(name, 0.0)]))) for name, slider in self.sliders.items()
        }
        return torch.tensor([by_name[name] for name, _ in self.named]) * self._per_strength

    def factors(self, harm: float | None) -> Float[Tensor, " pushes"]:
        """What every push's strength is multiplied by: 1 without a gate, NaN where a gate has to read.

        Args:
            harm: the probability that the prompt is harmful, in place of what gates read of it.

        Raises:
            SteeringError: for a probability that no gate reads.
        """
        if harm is not None:
            check_reads_harm(self.sliders.values())
        factors = torch.ones(len(self.named))
        for number, gate in enumerate(self.gates):
            if gate is not None and gate.reads_harm and harm is not None:
                factors[number] = gate.opened(gate.score_of(torch.tensor([harm])))
            elif gate is not None:
                factors[number] = torch.nan
        return factors

    def room_for(self, room: Room) -> Room:
        """The room with as many outputs as a pass may need: gates behind the last block read only what is one.

        Args:
            room: what a context is asked for.
        """
        read = {token for gate in self.gates if gate and gate.layer == self.n_layers - 1 for token in gate.tokens}
        outputs = max(room.outputs, room.sequences * (1 + len(read)))
        return replace(room, outputs=min(outputs, max(room.batch, room.sequences)))

    def _by_choice(self) -> list[tuple[TokenChoice, list[int]]]:
        by_name: dict[str, list[int]] = {}
        for number, (_, push) in enumerate(self.named):
            by_name.setdefault(push.tokens, []).append(number)
        found = [(token_choice(name), numbers) for name, numbers in by_name.items()]
        return [(choice, numbers) for choice, numbers in found if choice is not None]

    def _moves_at(self, layer: int) -> list[Move]:
        here = [(number, push) for number, (_, push) in enumerate(self.named) if layer in push.layers]
        moves: list[Move] = []
        added: list[int] = []
        for number, push in sorted(here, key=lambda one: not one[1].is_addition):
            if push.intervention == "add":
                added.append(number)
                continue
            moves += self._additions(added, layer)
            added = []
            moves.append(Intervention([number], push.intervention, push.vector[layer], push.tensors_at(layer)))
        return moves + self._additions(added, layer)

    def _additions(self, pushes: Sequence[int], layer: int) -> list[Move]:
        if not pushes:
            return []
        return [Additions(list(pushes), torch.stack([self.named[number][1].vector[layer] for number in pushes]))]

    def _check(self, name: str, push: Push, tells_thoughts: bool) -> None:
        if push.hook_point != "resid_post":
            raise SteeringError(
                f"Expected sliders that move blocks' outputs in llama.cpp, hook_point 'resid_post', found "
                f"{push.hook_point!r} in {name!r}; make it at blocks, or load the model with the transformers engine."
            )
        if push.vector.d_model != self.d_model or push.layers[-1] >= self.n_layers:
            raise SteeringError(
                f"Expected slider {name!r} to fit a model of {self.n_layers} layers of width {self.d_model}, found one "
                f"at layer {push.layers[-1]} of width {push.vector.d_model}; make it for this model."
            )
        if push.tokens == "thought" and not tells_thoughts:
            raise SteeringError(
                f"Expected a model whose chat template speaks of thoughts, to move tokens='thought' with {name!r}; "
                "choose other tokens."
            )
