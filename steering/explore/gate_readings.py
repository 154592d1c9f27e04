"""What gates read of prompts before any answer: how harmful each seems, and which sliders would act on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from steering.activations.recording import record_positions
from steering.data.chats import ChatLike, as_chat, without_answer
from steering.interventions.gates import Gate
from steering.models.language_model import LanguageModel
from steering.vectors.slider import Slider, as_slider
from steering.vectors.steering_vector import SteeringVector
from steering.vectors.summary import HarmEdge


@dataclass(frozen=True)
class GateReadings:
    """What the sliders' gates read of one prompt.

    Example:
        >>> from steering import GateReadings
        >>> GateReadings(0.91, {"safety": 1.0, "helpfulness": 0.0, "warmth": 0.25}).text
        "reads as harmful: 0.91; safety acts, helpfulness doesn't, warmth acts by 0.25"
        >>> GateReadings(0.08, {"safety": 0.0}, {"safety": (">", 0.62)}).text
        "reads as harmful: 0.08; safety doesn't (it acts above 0.62)"
        >>> GateReadings(None, {"safety": 0.0}, scores={"safety": (-1.5, 0.25)}).text
        "safety doesn't (its gate reads -1.50, it acts above 0.25)"
    """

    harm: float | None
    """Probability that the prompt is harmful, by the first gate that reads harm; None where none does."""
    factors: dict[str, float]
    """By axis, the largest factor among its gates: 0 where it doesn't act, 1 where nothing holds it back."""
    edges: Mapping[str, HarmEdge] = field(default_factory=dict)
    """By axis, where it acts, if that is above or below one probability of harm."""
    scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By axis whose one gate reads a score of its own, such as CAST's: what it reads, and above what it acts."""

    @property
    def text(self) -> str:
        """One line, with the reason for what doesn't act."""
        acts = ", ".join(f"{axis} {_in_words(factor)}{self._reason(axis)}" for axis, factor in self.factors.items())
        return acts if self.harm is None else f"reads as harmful: {self.harm:.2f}; {acts}"

    def _reason(self, axis: str) -> str:
        if self.factors[axis]:
            return ""
        if axis in self.scores:
            score, threshold = self.scores[axis]
            return f" (its gate reads {score:.2f}, it acts above {threshold:.2f})"
        if axis in self.edges:
            side, edge = self.edges[axis]
            return f" (it acts {'above' if side == '>' else 'below'} {edge:.2f})"
        return ""


def read_gates(
    lm: LanguageModel, sliders: Mapping[str, Slider | SteeringVector], prompts: Sequence[ChatLike]
) -> list[GateReadings]:
    """What the sliders' gates read of each prompt, from forward passes that end at the highest gate.

    In a conversation that is the last prompt tokens of the whole: what came before, answers included, counts as far as
    the model has brought it there. An answer at a chat's end, prefilled or whole, isn't read.

    No slider has to be attached; a dial that is, is in force.

    Args:
        lm: the model that the sliders were made on.
        sliders: `Sliders`, or any mapping of names to sliders.
        prompts: texts or chats, read at their prompts' ends.

    Returns:
        Readings for each prompt, in their order.

    Raises:
        SteeringError: for a prompt with fewer tokens than a gate reads.

    Example:
        >>> from steering import Gate, Push, Slider, read_gates
        >>> gate = Gate(layer=0, direction=torch.zeros(32), bias=2.0, reads="harm")
        >>> read_gates(lm, {"safety": Slider((Push(vector, gate=gate),))}, ["Hi"])[0].text
        'reads as harmful: 0.88; safety acts'
    """
    return readings_of(sliders, _scores(lm, gates_of(sliders), prompts), len(prompts))


def gates_of(sliders: Mapping[str, Slider | SteeringVector]) -> list[Gate]:
    """The gates of all sliders, in order."""
    return [push.gate for slider in sliders.values() for push in as_slider(slider).pushes if push.gate is not None]


def readings_of(
    sliders: Mapping[str, Slider | SteeringVector], scores: Mapping[Gate, Float[Tensor, " prompts"]], count: int
) -> list[GateReadings]:
    """What scores that gates have read mean for the sliders.

    Args:
        sliders: by name.
        scores: of every gate, as `Gate.score` gives them.
        count: number of prompts.
    """
    gates = {axis: [push.gate for push in as_slider(slider).pushes] for axis, slider in sliders.items()}
    guard = next((gate for gate in scores if gate.reads_harm), None)
    harm = [None] * count if guard is None else guard.harm(scores[guard]).tolist()

    def factors(axis: str) -> Tensor:
        opened = [torch.ones(count) if gate is None else gate.opened(scores[gate]) for gate in gates[axis]]
        return torch.stack(opened).amax(0)

    by_axis = {axis: factors(axis).tolist() for axis in gates}
    edges = {axis: edge for axis, slider in sliders.items() if (edge := as_slider(slider).summary().harm_edge)}
    own = {axis: gate for axis, found in gates.items() if (gate := _score_gate(found))}
    return [
        GateReadings(
            found,
            {axis: row[number] for axis, row in by_axis.items()},
            edges,
            {axis: (scores[gate][number].item(), gate.threshold) for axis, gate in own.items()},
        )
        for number, found in enumerate(harm)
    ]


def gates_line(lm: LanguageModel, sliders: Mapping[str, Slider], prompt: ChatLike) -> str:
    """What the gates read of a prompt, as a line for whoever moves the sliders; "" where no slider has a gate."""
    if not any(push.gate for slider in sliders.values() for push in slider.pushes):
        return ""
    (read,) = read_gates(lm, sliders, [prompt])
    return f"This prompt {read.text}." if read.harm is not None else f"On this prompt, {read.text}."


def _scores(
    lm: LanguageModel, gates: Sequence[Gate], prompts: Sequence[ChatLike]
) -> dict[Gate, Float[Tensor, " prompts"]]:
    """What each gate reads, from one pass over each prompt."""
    if not gates or not prompts:
        return {gate: torch.empty(0) for gate in gates}
    tokens = sorted({token for gate in gates for token in gate.tokens})
    layers = sorted({gate.layer for gate in gates})
    asked = [without_answer(as_chat(prompt)) for prompt in prompts]
    found = record_positions(lm, asked, [f"prompt_end:{token}" for token in tokens], layers=layers)

    def read(gate: Gate) -> Float[Tensor, "prompts tokens d_model"]:
        return found[[tokens.index(token) for token in gate.tokens], :, layers.index(gate.layer)].transpose(0, 1)

    return {gate: gate.score(read(gate)) for gate in gates}


def _score_gate(gates: Sequence[Gate | None]) -> Gate | None:
    """The one gate of an axis, if it reads a score of its own and acts above its threshold."""
    gate = gates[0] if len(set(gates)) == 1 else None
    return gate if gate and gate.reads == "score" and gate.curve in ("step", "line") and gate.low == 0 else None


def _in_words(factor: float) -> str:
    return {0.0: "doesn't", 1.0: "acts"}.get(factor, f"acts by {factor:.2f}")
