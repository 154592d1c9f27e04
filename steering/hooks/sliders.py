"""Sliders: named axes with live coefficients, as forward hooks on a model's decoder blocks."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from steering.errors import SteeringError, quoted
from steering.hooks.block_hooks import Addition, GateReading, Move, Operation
from steering.hooks.generate_hook import watch_generate
from steering.hooks.tracker import TokenTracker
from steering.models.bridge import Bridge, language_model
from steering.models.decoder_blocks import block_output, find_blocks, with_block_output
from steering.models.hook_points import output_projection
from steering.models.identity import identify
from steering.models.language_model import LanguageModel
from steering.vectors.steering_vector import SteeringVector

if TYPE_CHECKING:
    from steering.explore.text_view import TextView
    from steering.explore.widget import WidgetView

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

    @staticmethod
    def balanced(lm: LanguageModel, progress: bool = True) -> "Sliders":
        """Safety and helpfulness, as independent of each other as we know how: see `steering.recipes.balanced`."""
        from steering.recipes.balanced import balanced

        return balanced(lm, progress)

    def attach(
        self,
        model: LanguageModel | PreTrainedModel | Bridge,
        *,
        scope: str | Mapping[str, str] | None = None,
        allow_mismatch: Iterable[str] = (),
        blocks: str | None = None,
    ) -> "Dial":
        """Put hooks on the model's blocks, all sliders at 0, and return the dial that moves them.

        A `TransformerBridge` of TransformerLens 4 is a model too: its own forward passes are steered.

        Use the dial as a context manager, or call its `detach()`.

        Args:
            scope: a token position for all axes, or one for some of them; else the vectors' own.
            allow_mismatch: differences between the vectors' model and this one to accept.
            blocks: dotted path of a plain transformers model's decoder blocks, where they can't be found.

        Raises SteeringError when a vector was made on another model.
        """
        if isinstance(model, Bridge):
            model = language_model(model)
        if isinstance(model, LanguageModel):
            transformer, found, identity = model.model, model.blocks, model.identity
        else:
            transformer, found = model, find_blocks(model, blocks)
            identity = identify(transformer, found)
        for vector in self.axes.values():
            vector.check(identity, allow_mismatch)
        scopes = dict.fromkeys(self.axes, scope) if isinstance(scope, str) else scope or {}
        self.check_axes(scopes)
        return Dial(self, transformer, found, scopes)

    def widget(
        self, lm: LanguageModel, prompt: str = "Why is the sky blue?", max_new_tokens: int = 64
    ) -> "WidgetView | TextView":
        """Live sliders for a notebook: answers bare and steered side by side, tokens coloured, scores that follow.

        Show it as a cell's last line; `close()` takes the sliders off the model, as does another widget on the same
        model. Without ipywidgets (`pip install 'trimtab[notebook]'`) it is a view that compares in text.

        Raises SteeringError when a vector was made on another model.
        """
        if find_spec("ipywidgets") is None:
            from steering.explore.text_view import TextView

            return TextView(self, lm, prompt, max_new_tokens)
        from steering.explore.widget import WidgetView

        return WidgetView(self, lm, prompt, max_new_tokens)

    def _repr_html_(self) -> str:
        from steering.display.html import sliders_html

        return sliders_html(self.axes)

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
        self.parts: list[Part] = [
            (name, part, scopes.get(name, part.scope)) for name, axis in sliders.axes.items() for part in axis.parts
        ]
        self._coefficients = {name: torch.zeros(1) for name in sliders.axes}
        self._tracker = TokenTracker(model)
        self._undo: list[Callable[[], None]] = []
        self._moves: dict[tuple[str, int], list[Move]] = {}
        try:
            self._hook(model, blocks)
        except BaseException:
            self.detach()
            raise

    def _hook(self, model: PreTrainedModel, blocks: nn.ModuleList) -> None:
        readings = {part: GateReading(part.gate, self._tracker) for _, part, _ in self.parts if part.gate is not None}
        for part, reading in readings.items():  # before the moves at the same block, so that it reads what comes in
            assert part.gate is not None
            self._undo.append(blocks[part.gate.layer].register_forward_hook(reading.read).remove)
        torch.compiler.reset()  # code compiled before would run on without the hooks
        self._moves = _moves_by_place(self.parts, readings, blocks)
        self.set()
        for place, moves in self._moves.items():
            module = _module(blocks, *place)
            self._undo.append(module.register_forward_hook(partial(self._steer, moves)).remove)
        if readings or any(scope != "all" for _, _, scope in self.parts):
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
        for moves in self._moves.values():
            for move in moves:
                move.set(values)

    @property
    def settings(self) -> dict[str, float | list[float]]:
        """The sliders' present values."""
        return {name: value.item() if len(value) == 1 else value.tolist() for name, value in self._coefficients.items()}

    def prompt_lengths(self, lengths: Sequence[int] | Tensor) -> AbstractContextManager[None]:
        """Say, for the plain forward passes inside, how many real tokens of each row are the prompt.

        Scopes then treat the rest as generated. `generate` needs no such help.
        """
        return self._tracker.prompts_of(torch.as_tensor(lengths))

    @contextmanager
    def one_prompt(self, length: int) -> Iterator[None]:
        """Around passes over parts of one prompt of so many tokens, given as one row.

        With a value for each of several rows, the row becomes so many where the first slider moves. Models whose
        positions belong to rows (ALiBi) can't spread.
        """
        with self.prompt_lengths([length]), self._tracker.spreading():
            yield

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

    def _steer(self, moves: list[Move], _block: nn.Module, _inputs: object, output: object) -> object:
        h = block_output(output)
        for move in moves:
            h = move.apply(h, self._tracker)
        return with_block_output(output, h)


Part: TypeAlias = tuple[str, SteeringVector, str]
"""The slider's name, one of its vectors, the scope it acts in."""


def _moves_by_place(
    parts: Sequence[Part], readings: Mapping[SteeringVector, GateReading], blocks: nn.ModuleList
) -> dict[tuple[str, int], list[Move]]:
    """What happens at every (site, layer): first the plain additions, summed by scope, then the others in order."""
    places = sorted({(vector.site, layer) for _, vector, _ in parts for layer in vector.recommended_layers})
    moves: dict[tuple[str, int], list[Move]] = {}
    for site, layer in places:
        module = _module(blocks, site, layer)
        here = [part for part in parts if part[1].site == site and layer in part[1].recommended_layers]
        plain: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, vector, scope in here:
            if vector.is_plain:
                before = plain[scope].get(name, torch.tensor(0.0))
                plain[scope][name] = before + vector[layer] * vector.unit
        moves[site, layer] = [Addition(directions, scope, module) for scope, directions in plain.items()]
        moves[site, layer] += [
            Operation(name, vector, layer, scope, readings.get(vector))
            for name, vector, scope in here
            if not vector.is_plain
        ]
    return moves


def _module(blocks: nn.ModuleList, site: str, layer: int) -> nn.Module:
    return blocks[layer] if site == "block" else output_projection(blocks[layer])


def _as_rows(name: str, value: Coefficient) -> Tensor:
    try:
        rows = torch.as_tensor(value, dtype=torch.float32).detach().cpu().reshape(-1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SteeringError(f"Expected a number or a list of numbers for slider {name!r}, found {value!r}.") from error
    if not len(rows) or not rows.isfinite().all():
        raise SteeringError(f"Expected finite numbers for slider {name!r}, found {value!r}.")
    return rows
