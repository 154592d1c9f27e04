"""What a user moves: pushes along vectors, in which range, and how the strength follows the value."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from steering.errors import SteeringError, quoted
from steering.interventions.gates import Gate
from steering.models.identity import ModelIdentity
from steering.vectors import file_format
from steering.vectors.file_format import FileRecord, SliderRecord
from steering.vectors.provenance import Calibration, Dose, Origin, Recognition, Trial
from steering.vectors.push import Push
from steering.vectors.steering_vector import SteeringVector
from steering.vectors.summary import SliderSummary

if TYPE_CHECKING:
    from steering.models.language_model import LanguageModel

HARM = "harm"
"""What a prompt's probability of being harmful is set by, beside the sliders' names."""
LONGEST_PUSH = torch.finfo(torch.float32).max ** 0.5
"""Norms square the stream: what is longer than this leaves models logits of 0 or none at all."""
SliderValues: TypeAlias = Mapping[str, float]
"""The value of each slider by name; one that isn't named is at 0."""


@dataclass(frozen=True, eq=False, repr=False)
class Slider:
    """One or several pushes that a user moves together.

    Raises:
        SteeringError: for no push, pushes of different widths, or a range that isn't finite and in order.

    Example:
        >>> Slider((Push(vector, tokens="generated"),), range=(0.0, 2.0))
        Slider('unnamed', 1 push, range 0 to 2)
    """

    pushes: tuple[Push, ...]
    range: tuple[float, float] = (-1.0, 1.0)
    """Values in which the effect was found or is expected to be orderly."""
    calibration: Calibration | None = None
    """How strength, range and layers were found; None where they are plain defaults."""
    dose: Dose | None = None
    """Strength by value, with what was measured; None for a straight line."""
    trials: tuple[Trial, ...] = ()
    """What was tried while the slider was made, the pushes that were taken among them."""
    recognition: tuple[Recognition, ...] = ()
    """How its gates told prompts apart that their probe had not seen."""

    def __post_init__(self) -> None:
        if not self.pushes or len({push.vector.d_model for push in self.pushes}) > 1:
            widths = [push.vector.d_model for push in self.pushes]
            raise SteeringError(f"Expected one push or several of the same width, found widths {widths}.")
        if not -torch.inf < self.range[0] <= self.range[1] < torch.inf:
            raise SteeringError(f"Expected a finite range in order, found {self.range[0]!r} to {self.range[1]!r}.")

    def strength(self, value: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        """Turn slider values into the strengths that all pushes are multiplied by: the dose's, or a straight line.

        Args:
            value: one for each row, or one for all.

        Raises:
            SteeringError: for values at which a push alone would overflow.
        """
        strength = value if self.dose is None else self.dose.strength(value)
        if not (strength.double().abs() * self._reach < LONGEST_PUSH).all():
            raise SteeringError(
                f"Expected values of the slider {self.title!r} whose pushes stay shorter than {LONGEST_PUSH:.2g}, the "
                f"longest that float32 can square, found {value.tolist()}; choose smaller ones."
            )
        return strength

    @cached_property
    def _reach(self) -> float:
        """Length of the longest push at strength 1."""
        lengths = [(push.vector[n].double() * push.strength).norm() for push in self.pushes for n in push.layers]
        return float(max(lengths))

    @property
    def title(self) -> str:
        """The first vector's title."""
        return self.pushes[0].vector.title

    @property
    def origin(self) -> Origin | None:
        """The first vector's origin."""
        return self.pushes[0].vector.origin

    @property
    def reads_harm(self) -> bool:
        """Whether a gate of its pushes reads how harmful a prompt is."""
        return any(push.gate.reads_harm for push in self.pushes if push.gate)

    @property
    def d_model(self) -> int:
        """Width of the residual stream that is moved."""
        return self.pushes[0].vector.d_model

    def scaled(self, factor: float) -> "Slider":
        """The slider with all pushes so many times as strong.

        Args:
            factor: multiplies the strengths.

        Example:
            >>> from steering import Push, Slider
            >>> Slider((Push(vector, strength=0.5),)).scaled(4.0).pushes[0].strength
            2.0
        """
        return self._with(lambda push: replace(push, strength=push.strength * factor))

    def on_tokens(self, tokens: str | None) -> "Slider":
        """The slider with all pushes on other tokens.

        Args:
            tokens: as `steering.models.token_positions` names them; None leaves all as they are.
        """
        return self if tokens is None else self._with(lambda push: replace(push, tokens=tokens))

    def at_layers(self, layers: Iterable[int]) -> "Slider":
        """The slider with its one push at these layers; what was measured with the former ones no longer holds.

        Args:
            layers: block indices, in any order.

        Raises:
            SteeringError: for several pushes, and for layers that the vector doesn't have.
        """
        if len(self.pushes) > 1:
            raise SteeringError(f"{self.title!r} moves by {len(self.pushes)} pushes; choose layers for each of them.")
        chosen = tuple(sorted(set(layers)))
        return self._with(lambda push: replace(push, layers=chosen))._unmeasured()

    def along(self, change: Callable[[SteeringVector], SteeringVector]) -> "Slider":
        """The slider with every vector changed; what was measured with the former ones no longer holds.

        Args:
            change: gives the new vector for the old one.
        """
        return self._with(lambda push: replace(push, vector=change(push.vector)))._unmeasured()

    def _with(self, change: Callable[[Push], Push]) -> "Slider":
        return replace(self, pushes=tuple(map(change, self.pushes)))

    def _unmeasured(self) -> "Slider":
        return replace(self, calibration=None, dose=None, trials=(), recognition=())

    def only_addition(self, purpose: str) -> Push:
        """The one push of a slider that is no more than an addition at blocks, on every token, as it is.

        Args:
            purpose: what it is wanted for, for the message.

        Raises:
            SteeringError: for any other slider.
        """
        push = self.pushes[0]
        plain = push.is_addition and (push.hook_point, push.tokens) == ("resid_post", "all")
        if len(self.pushes) > 1 or not plain:
            does = "; ".join(push.summary().text for push in self.pushes)
            raise SteeringError(f"Expected a plain addition at blocks {purpose}; {self.title!r} does {does}.")
        return push

    def check(self, model: ModelIdentity, allow_mismatch: Iterable[str] = ()) -> None:
        """See that all of its vectors were made on a model.

        Args:
            model: the model's identity, `lm.identity`.
            allow_mismatch: as `SteeringVector.check` takes it.

        Raises:
            SteeringError: where one was made on another.
        """
        for push in self.pushes:
            push.vector.check(model, allow_mismatch)

    def summary(self) -> SliderSummary:
        """All of the slider but its tensors, as text, HTML or JSON."""
        return SliderSummary.model_validate(self, from_attributes=True)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, whole or not at all; that of a plain slider is its vector's.

        Args:
            path: the file to create or to replace.

        Raises:
            SteeringError: when the file can't be written there.
        """
        vectors = list(dict.fromkeys(push.vector for push in self.pushes))
        record = self._record(vectors)
        if record == as_slider(vectors[0])._record(vectors):
            return vectors[0].save(path)
        tensors = {f"vectors.{number}.directions": vector.directions for number, vector in enumerate(vectors)}
        for number, push in enumerate(self.pushes):
            tensors |= {f"pushes.{number}.{name}": tensor for name, tensor in push.tensors.items()}
            if push.gate:
                tensors[f"pushes.{number}.gate"] = push.gate.direction
        whole = FileRecord(vectors=tuple(vector.record() for vector in vectors), slider=record)
        file_format.write_file(path, whole, tensors)

    def _record(self, vectors: list[SteeringVector]) -> SliderRecord:
        pushes = tuple(push.record(vectors.index(push.vector)) for push in self.pushes)
        same = {name: getattr(self, name) for name in ("range", "calibration", "dose", "trials", "recognition")}
        return SliderRecord(pushes=pushes, **same)

    @staticmethod
    def load(path: str | Path, lm: "LanguageModel | None" = None, allow_mismatch: Iterable[str] = ()) -> "Slider":
        """Read a slider's file; that of a vector gives its plain slider.

        Args:
            path: the file, of format 2 or 1.
            lm: the model that it has to belong to; attaching checks it again.
            allow_mismatch: differences to accept, out of `steering.models.identity.ALLOWABLE`.

        Returns:
            The slider as it was saved.

        Raises:
            SteeringError: for a file that isn't such an artifact, or belongs to another model.
        """
        record, tensors = file_format.read_file(path)
        with file_format.naming_file(path):
            numbered = enumerate(record.vectors)
            vectors = [SteeringVector(tensors[f"vectors.{n}.directions"], **dict(part)) for n, part in numbered]
            slider = as_slider(vectors[0]) if record.slider is None else _slider_of(record.slider, vectors, tensors)
        if lm is not None:
            slider.check(lm.identity, allow_mismatch)
        return slider

    def __repr__(self) -> str:
        count, (low, high) = len(self.pushes), self.range
        return f"Slider({self.title!r}, {count} push{'es' * (count > 1)}, range {low:g} to {high:g})"

    def _repr_html_(self) -> str:
        return self.summary().html()


def as_slider(slider: SteeringVector | Slider) -> Slider:
    """A slider as it is; a vector as its plain slider, which adds it at its recommended layers."""
    return Slider((Push(slider),)) if isinstance(slider, SteeringVector) else slider


def check_axes(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise SteeringError unless every name is one of the known axes."""
    for name in names:
        if name not in known:
            raise SteeringError(f"There is no axis {name!r}; the sliders are {quoted(known)}.")


def check_axis_names(names: Iterable[str]) -> None:
    """Raise SteeringError where an axis has the name by which callers give a prompt's harm."""
    if HARM in names:
        raise SteeringError(f"No axis can be called {HARM!r}, by which a prompt's own score is set; rename it.")


def check_reads_harm(sliders: Iterable[Slider]) -> None:
    """Raise SteeringError unless a slider has something to do with a prompt's harm."""
    if not any(slider.reads_harm for slider in sliders):
        raise SteeringError("No slider here reads harm, so a score of it changes nothing; leave it out.")


def _slider_of(record: SliderRecord, vectors: list[SteeringVector], tensors: Mapping[str, Tensor]) -> Slider:
    """The parts as a slider, once they fit each other."""
    pushes = []
    for number, part in enumerate(record.pushes):
        gate = part.gate and Gate(direction=tensors[f"pushes.{number}.gate"], **dict(part.gate))
        extra = {name: tensors[f"pushes.{number}.{name}"] for name in part.tensors}
        pushes.append(Push(**dict(part) | {"vector": vectors[part.vector], "tensors": extra, "gate": gate}))
    return Slider(**dict(record) | {"pushes": tuple(pushes)})
