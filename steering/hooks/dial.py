"""Sliders attached to a model: forward hooks on its decoder blocks, and the dial that moves them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from inspect import signature
from threading import Lock
from types import EllipsisType

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from steering.errors import SteeringError, quoted
from steering.hooks.block_hooks import Addition, GateReading, Intervention
from steering.hooks.cache_notes import CacheNotes
from steering.hooks.dial_settings import DialSettings, HarmScore, SliderValue
from steering.hooks.method_hook import watch
from steering.hooks.own_hook import OwnHook
from steering.hooks.past_tokens import PastTokens
from steering.hooks.seen_tokens import AnswerStart
from steering.hooks.token_tracker import TokenTracker
from steering.models.adapters import adapter_state
from steering.models.bridge import Bridge, language_model
from steering.models.decoder_blocks import block_output, find_blocks, with_block_output
from steering.models.hook_points import hooked_module
from steering.models.identity import ModelIdentity, identify
from steering.models.language_model import LanguageModel
from steering.models.token_positions import TokenChoice, from_prompt_end, needs_answer_start, token_choice
from steering.models.wrappers import unwrapped
from steering.vectors.push import Push
from steering.vectors.slider import Slider, as_slider, check_axes, check_axis_names
from steering.vectors.steering_vector import SteeringVector


def attach(
    sliders: Mapping[str, Slider | SteeringVector],
    model: LanguageModel | nn.Module | Bridge,
    *,
    tokens: str | Mapping[str, str] | None = None,
    allow_mismatch: Iterable[str] = (),
    blocks: str | None = None,
) -> "Dial":
    """Put hooks on the model's blocks, all sliders at 0: see `Sliders.attach`."""
    if isinstance(model, Bridge):
        model = language_model(model)
    if isinstance(model, LanguageModel):
        transformer, found, identity = model.model, model.blocks, model.identity
    else:
        transformer = unwrapped(model)
        found = find_blocks(transformer, blocks)
        identity = identify(transformer, found)
    answer_start = model.response_tokens.answer_start if isinstance(model, LanguageModel) and model.marks else None
    placed = placed_sliders(sliders, identity, tokens, allow_mismatch, thinks=answer_start is not None)
    return Dial(placed, transformer, found, answer_start)


def placed_sliders(
    sliders: Mapping[str, Slider | SteeringVector],
    model: ModelIdentity,
    tokens: str | Mapping[str, str] | None,
    allow_mismatch: Iterable[str],
    thinks: bool,
) -> dict[str, Slider]:
    """The sliders as they act on a model.

    Args:
        sliders: each with its name.
        model: what their vectors have to belong to.
        tokens: tokens that are moved, for all axes or by name; else the sliders' own.
        allow_mismatch: differences between the vectors' model and this one to accept.
        thinks: whether the model's thoughts can be told from its answers.

    Raises:
        SteeringError: when a vector was made on another model, or the model has no such tokens.
    """
    check_axis_names(sliders)
    chosen = dict.fromkeys(sliders, tokens) if isinstance(tokens, str) else tokens or {}
    check_axes(chosen, sliders)
    placed = {name: as_slider(slider).on_tokens(chosen.get(name)) for name, slider in sliders.items()}
    for slider in placed.values():
        slider.check(model, allow_mismatch)
    if not thinks and any(push.tokens == "thought" for slider in placed.values() for push in slider.pushes):
        raise SteeringError(
            f"Expected a LanguageModel whose chat template speaks of thoughts, to move tokens='thought', found "
            f"{model.name!r}; choose other tokens, or attach to the LanguageModel with the tokenizer's own template."
        )
    return placed


class Dial:
    """Sliders attached to a model. `set` moves them at any time, also between the steps of a generation.

    Threads that call one model share its dial's values; which tokens and prompts a pass holds, each knows for itself.
    """

    def __init__(
        self,
        sliders: Mapping[str, Slider],
        model: PreTrainedModel,
        blocks: nn.ModuleList,
        answer_start: AnswerStart | None = None,
    ) -> None:
        self.sliders = sliders
        self.pushes = [(name, push) for name, slider in sliders.items() for push in slider.pushes]
        """Every push with its slider's name."""
        self._settings = DialSettings(sliders)
        self._moving = Lock()
        self._adapters = adapter_state(model)
        self._choices = _choices(push for _, push in self.pushes)
        reads_thought = any(needs_answer_start(push.tokens) for _, push in self.pushes)
        follows = answer_start if reads_thought else None
        self._tracker = TokenTracker(signature(model.forward), self._choices, CacheNotes(), PastTokens(), follows)
        readings = {push: GateReading(push.gate, self._tracker) for _, push in self.pushes if push.gate is not None}
        self._readings = [*readings.values()]
        self._hooks = _hooks_by_module(self.pushes, readings, blocks)
        self.set()
        torch.compiler.reset()  # code compiled before would run on without the hooks
        with ExitStack() as undo:
            for push, reading in readings.items():  # before the moves at the same block, so that it reads what comes in
                assert push.gate is not None
                undo.callback(blocks[push.gate.layer].register_forward_hook(OwnHook(reading.read)).remove)
            for module, hooks in self._hooks.items():
                undo.callback(module.register_forward_hook(OwnHook(self._steer, hooks)).remove)
            highest = max(layer for _, push in self.pushes for layer in push.layers)
            undo.callback(blocks[highest].register_forward_hook(OwnHook(self._check_overflow)).remove)
            undo.callback(model.register_forward_pre_hook(OwnHook(self._check_adapters)).remove)
            if self._choices:
                begins, ends = (
                    OwnHook(_uncompiled(hook)) for hook in (self._tracker.pass_begins, self._tracker.pass_ends)
                )
                undo.callback(model.register_forward_pre_hook(begins, with_kwargs=True).remove)
                undo.callback(model.register_forward_hook(ends, always_call=True).remove)
            undo.callback(watch(model, "generate", self._tracker.generating))
            if follows:
                undo.callback(watch(model, "prepare_inputs_for_generation", self._tracker.preparing))
            undo.callback(watch(model, "init_continuous_batching", self._check_packed))
            self._undo = undo.pop_all()

    def set(self, /, *, harm: HarmScore | EllipsisType | None = ..., **values: SliderValue) -> None:
        """Move the named sliders; the others stay.

        Args:
            harm: the probability that a prompt is harmful, such as a guard model's, in place of what gates read: a
                number, or one for every row, None for a row that gates are to read. None alone goes back to reading;
                not given, all stays as it was.
            values: a number, or a sequence with one for every row of the next batches.

        Raises:
            SteeringError: for an unknown axis, a value that isn't finite or overflows, a harm that is no probability or
                that no gate reads, or sequences of different lengths; no slider moves then.

        Example:
            >>> with Sliders(safety=vector).attach(lm) as dial:
            ...     dial.set(safety=0.5)
            ...     dial.settings
            {'safety': 0.5}
        """
        with self._moving:
            self._settings.set(harm, values)
            for reading in self._readings:
                reading.give(self._settings.given_harm)
            for hooks in self._hooks.values():
                for hook in hooks:
                    hook.set(self._settings.strengths)
            self._moves = any(strength.any() for strength in self._settings.strengths.values())

    @property
    def settings(self) -> dict[str, float | list[float]]:
        """The sliders' present values."""
        return self._settings.settings

    @property
    def harm(self) -> float | list[float | None] | None:
        """The probability of harm that was set, for all rows or each; None where gates read it."""
        return self._settings.harm

    def prompt_lengths(self, lengths: Sequence[int] | Tensor) -> AbstractContextManager[None]:
        """Say, for the plain forward passes inside, where each row's prompt ends. `generate` needs no such help.

        Nor does a loop that passes whole prompts and then a token a row, with a cache. A loop without a cache does, and
        one that passes prompts in parts or several tokens at once. It speaks of passes in the same thread.

        Args:
            lengths: number of real tokens of each row that are the prompt; the rest count as generated.
        """
        return self._tracker.prompts_of(torch.as_tensor(lengths))

    def one_prompt(self, length: int) -> AbstractContextManager[None]:
        """Around passes over parts of one prompt of so many tokens, given as one row.

        With a value for each of several rows, the row becomes so many where the first slider moves. Models whose
        positions belong to rows (ALiBi) can't spread.

        Args:
            length: number of the prompt's tokens.

        Yields:
            Nothing.
        """
        return self._tracker.prompts_of(torch.tensor([length]), spreading=True)

    def detach(self) -> None:
        """Take every hook off the model. Doing it twice does no harm."""
        self._undo.close()

    def __enter__(self) -> "Dial":
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    @contextmanager
    def _check_packed(self, *_args: object, **_kwargs: object) -> Iterator[None]:
        """Around the start of continuous batching, which packs all prompts into one row."""
        settings = [*self._settings.values.values(), self._settings.given_harm]
        if self._choices or any(len(values) > 1 for values in settings):
            raise SteeringError(
                "Expected sliders that move all tokens of all prompts alike for generate_batch, which packs prompts "
                "into one row, found a choice of tokens, a gate, or a value for each row; call generate, or attach "
                "with tokens='all' and sliders without a gate."
            )
        yield

    def _check_adapters(self, model: nn.Module, _inputs: object) -> None:
        """Forward pre-hook of the whole model: the vectors were checked against the adapters that were active then."""
        found = adapter_state(model)
        if found != self._adapters:
            raise SteeringError(
                f"Expected the PEFT adapters as they were when the sliders were attached, {quoted(self._adapters)}, "
                f"found {quoted(found)}; put them back, or detach and attach again."
            )

    def _check_overflow(self, _block: nn.Module, _inputs: object, output: object) -> None:
        """Forward hook of the highest block that is moved: what squares to infinity leaves no logits, or zeros."""
        if torch.compiler.is_compiling() or not self._moves:
            return
        h = block_output(output).detach()
        if not h.float().square().sum(-1).isfinite().all():
            raise SteeringError(
                f"Expected slider values that leave the model's states in {h.dtype} finite, found {self.settings}; "
                "choose smaller ones."
            )

    def _steer(
        self, hooks: list[Addition | Intervention], _block: nn.Module, _inputs: object, output: object
    ) -> object:
        h = block_output(output)
        for hook in hooks:
            h = hook.apply(h, self._tracker)
        return with_block_output(output, h)


def _choices(pushes: Iterable[Push]) -> list[TokenChoice]:
    """All tokens that pushes move or their gates read, where it matters which they are."""
    found: list[TokenChoice] = []
    for push in pushes:
        choice = token_choice(push.tokens)
        found += [] if choice is None else [choice]
        found += [] if push.gate is None else map(from_prompt_end, push.gate.tokens)
    return found


def _uncompiled(hook: Callable[..., None]) -> Callable[..., None]:
    """The hook, run by Python also in a compiled model: what it does depends on what is in the tensors."""
    disabled: Callable[..., None] = torch.compiler.disable(hook)  # type: ignore[no-untyped-call]
    return disabled


def _hooks_by_module(
    pushes: Sequence[tuple[str, Push]], readings: Mapping[Push, GateReading], blocks: nn.ModuleList
) -> dict[nn.Module, list[Addition | Intervention]]:
    """What happens behind every module: first the plain additions, summed by their tokens, then the others in order."""
    hooks: dict[nn.Module, list[Addition | Intervention]] = {}
    for hook_point, layer in sorted({(push.hook_point, layer) for _, push in pushes for layer in push.layers}):
        here = [(name, push) for name, push in pushes if push.hook_point == hook_point and layer in push.layers]
        additions: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, push in here:
            if push.is_addition:
                before = additions[push.tokens].get(name, torch.tensor(0.0))
                additions[push.tokens][name] = before + push.vector[layer] * push.strength
        module = hooked_module(blocks[layer], hook_point)
        others = [Intervention(name, push, layer, readings.get(push)) for name, push in here if not push.is_addition]
        hooks[module] = [*(Addition(directions, on, module) for on, directions in additions.items()), *others]
    return hooks
