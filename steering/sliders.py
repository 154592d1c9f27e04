"""Sliders: named axes with live coefficients, as forward hooks on a model's decoder blocks."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import TypeAlias

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from steering.decoder_blocks import block_output, find_blocks, with_block_output
from steering.errors import SteeringError, quoted
from steering.generate_calls import watch_generate
from steering.identity import identify
from steering.interventions.add import add
from steering.language_model import LanguageModel
from steering.scopes import TokenChoice, token_choice
from steering.token_tracker import TokenTracker
from steering.vector import SteeringVector

Coefficient: TypeAlias = float | Sequence[float] | Tensor
"""A slider's value: one number, or one a row of the batch."""


class Sliders:
    """Named axes, each with its vector: `Sliders(safety=…, helpfulness=…)`. Attach them to move a model."""

    def __init__(self, /, **axes: SteeringVector) -> None:
        if not axes:
            raise SteeringError("Expected at least one axis, found none; write Sliders(safety=vector).")
        for name, vector in axes.items():
            if not isinstance(vector, SteeringVector):
                raise SteeringError(
                    f"Expected a SteeringVector for axis {name!r}, found {type(vector).__name__!r}; "
                    "extract or load one, or wrap a tensor: SteeringVector(directions)."
                )
        self.axes = axes

    def attach(
        self,
        model: LanguageModel | PreTrainedModel,
        *,
        scope: str | Mapping[str, str] = "all",
        allow_mismatch: Iterable[str] = (),
        blocks: str | None = None,
    ) -> "Dial":
        """Put hooks on the model's blocks, all sliders at 0, and return the dial that moves them.

        Use the dial as a context manager, or call its `detach()`.

        Args:
            scope: a name in `steering.scopes.SCOPES`, or one for each axis that isn't `all`.
            allow_mismatch: differences between the vectors' model and this one to accept.
            blocks: dotted path of a plain transformers model's decoder blocks, where they can't be found.

        Raises SteeringError when a vector was made on another model.
        """
        if isinstance(model, LanguageModel):
            transformer, found, identity = model.model, model.blocks, model.identity
        else:
            transformer, found = model, find_blocks(model, blocks)
            identity = identify(transformer, found)
        for vector in self.axes.values():
            vector.check(identity, allow_mismatch)
        scopes = scope if isinstance(scope, Mapping) else dict.fromkeys(self.axes, scope)
        self.check_axes(scopes)
        return Dial(self, transformer, found, {name: scopes.get(name, "all") for name in self.axes})

    def check_axes(self, names: Iterable[str]) -> None:
        """Raise SteeringError unless every name is one of the axes."""
        for name in names:
            if name not in self.axes:
                raise SteeringError(f"There is no axis {name!r}; the sliders are {quoted(self.axes)}.")


class Dial:
    """Sliders attached to a model. `set` moves them at any time, also between the steps of a generation."""

    def __init__(
        self, sliders: Sliders, model: PreTrainedModel, blocks: nn.ModuleList, scopes: Mapping[str, str]
    ) -> None:
        self.sliders = sliders
        self._coefficients = {name: torch.zeros(1) for name in sliders.axes}
        self._tracker = TokenTracker(model)
        self._pushes: dict[int, list[_Push]] = defaultdict(list)
        for scope in dict.fromkeys(scopes.values()):
            axes = {name: vector for name, vector in sliders.axes.items() if scopes[name] == scope}
            for layer in sorted({layer for vector in axes.values() for layer in vector.recommended_layers}):
                moving = {name: v[layer] * v.unit for name, v in axes.items() if layer in v.recommended_layers}
                self._pushes[layer].append(_Push(moving, token_choice(scope)))
        self.set()
        self._undo = [
            blocks[layer].register_forward_hook(partial(self._steer, pushes)).remove
            for layer, pushes in self._pushes.items()
        ]
        if any(scope != "all" for scope in scopes.values()):
            self._undo.append(model.register_forward_pre_hook(self._tracker.pass_begins, with_kwargs=True).remove)
            self._undo.append(model.register_forward_hook(self._tracker.pass_ends, always_call=True).remove)
        self._undo.append(watch_generate(model, self._tracker.generating))

    def set(self, /, **coefficients: Coefficient) -> None:
        """Move the named sliders; the others stay. A sequence gives every row of the next batches its own value.

        Raises SteeringError for an unknown axis, a value that isn't finite, or sequences of different lengths; no
        slider moves then.
        """
        self.sliders.check_axes(coefficients)
        values = self._coefficients | {name: _as_rows(name, value) for name, value in coefficients.items()}
        rows = {name: len(value) for name, value in values.items() if len(value) > 1}
        if len(set(rows.values())) > 1:
            raise SteeringError(f"Expected one number of rows for all sliders, found {rows}; set them together.")
        self._coefficients = values
        for pushes in self._pushes.values():
            for push in pushes:
                push.move(values)

    @property
    def settings(self) -> dict[str, float | list[float]]:
        """The sliders' present values."""
        return {name: value.item() if len(value) == 1 else value.tolist() for name, value in self._coefficients.items()}

    def prompt_lengths(self, lengths: Sequence[int] | Tensor) -> AbstractContextManager[None]:
        """Say, for the plain forward passes inside, how many real tokens of each row are the prompt.

        Scopes then treat the rest as generated. `generate` needs no such help.
        """
        return self._tracker.prompts_of(torch.as_tensor(lengths))

    def detach(self) -> None:
        """Take every hook off the model. Doing it twice does no harm."""
        while self._undo:
            self._undo.pop()()

    def __enter__(self) -> "Dial":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.detach()

    def _steer(self, pushes: "list[_Push]", _block: nn.Module, _inputs: object, output: object) -> object:
        h = block_output(output)
        for push in pushes:
            delta = push.delta_for(h)
            if len(delta) > 1:
                repeats = self._tracker.rows_per_caller_row(len(h), len(delta))
                delta = delta.repeat_interleave(repeats, dim=0)
            moved = add(h, delta)
            h = moved if push.choice is None else torch.where(self._acts_on(push.choice, h), moved, h)
        return with_block_output(output, h)

    def _acts_on(self, choice: TokenChoice, h: Tensor) -> Tensor:
        """(rows, seq, 1): whether a scope's tokens stand at each position of the pass under way."""
        index, prompt_length = self._tracker.token_index, self._tracker.prompt_length
        if index is None or prompt_length is None:
            raise SteeringError(
                "Expected a forward pass of the whole attached model, found one of a part of it; "
                "call the model itself, or attach with scope='all'."
            )
        return choice(index, prompt_length).to(h.device).unsqueeze(-1)


class _Push:
    """What the axes of one scope add at one block, worked out when a slider moves and not in the forward pass."""

    def __init__(self, directions: Mapping[str, Tensor], choice: TokenChoice | None) -> None:
        self.directions = directions
        self.choice = choice
        self._delta = torch.empty(0)
        self._placed = torch.empty(0)

    def move(self, coefficients: Mapping[str, Tensor]) -> None:
        """Work out `Σ coefficient · direction`, (1 or rows, 1, d_model) in float32."""
        parts = [coefficients[name].reshape(-1, 1, 1) * direction for name, direction in self.directions.items()]
        delta = sum(parts[1:], start=parts[0])
        # A zero is added as -0.0, the only number that changes neither 0.0 nor -0.0: sliders at 0 are exact.
        self._delta = self._placed = torch.where(delta == 0, -0.0, delta)

    def delta_for(self, h: Tensor) -> Tensor:
        """The delta in the dtype and on the device of `h`."""
        placed = self._placed
        if placed.dtype != h.dtype or placed.device != h.device:
            self._placed = placed = self._delta.to(h.device, h.dtype)
        return placed


def _as_rows(name: str, value: Coefficient) -> Tensor:
    try:
        rows = torch.as_tensor(value, dtype=torch.float32).detach().cpu().reshape(-1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SteeringError(f"Expected a number or a list of numbers for slider {name!r}, found {value!r}.") from error
    if not len(rows) or not rows.isfinite().all():
        raise SteeringError(f"Expected finite numbers for slider {name!r}, found {value!r}.")
    return rows
