"""Generating under many slider settings. (One prompt or batch: `LanguageModel.chat` and `generate`.)"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

from tqdm.auto import tqdm

from steering.data.chats import ChatLike
from steering.errors import SteeringError
from steering.hooks.dial import attach
from steering.hooks.prompt_caches import Allows, PromptCaches
from steering.models.greedy import check_unset
from steering.models.language_model import LanguageModel
from steering.vectors.slider import Slider, SliderValues, check_axes

T = TypeVar("T")


def sweep(
    lm: LanguageModel,
    sliders: Mapping[str, Slider],
    prompts: Sequence[ChatLike],
    settings: Sequence[SliderValues],
    *,
    max_new_tokens: int = 64,
    rows_per_batch: int = 32,
    tokens: str | Mapping[str, str] | None = None,
    harm: Sequence[float | None] | None = None,
    progress: bool = True,
    **options: Any,
) -> list[list[str]]:
    """Answers to every prompt under every setting; settings run together as batch rows.

    The answers are those of `generate` under one setting at a time. What the settings have in common runs once: a
    prompt's tokens below the first layer that moves, and at all layers where the sliders leave the prompt alone; what
    all prompts begin with (a chat template's system turn) runs once a batch of settings.

    Args:
        lm: the model.
        sliders: `Sliders`, or any mapping of names to sliders.
        prompts: texts or chats.
        settings: slider values by axis; one that a setting doesn't name is at 0.
        max_new_tokens: length of an answer at most.
        rows_per_batch: answers that are written at once.
        tokens: tokens that are moved, as `Sliders.attach` takes them.
        harm: each prompt's probability of being harmful, in place of what gates read, as `Dial.set` takes it.
        progress: show a bar.
        options: of `LanguageModel.generate`.

    Returns:
        `answers[prompt][setting]`.

    Raises:
        SteeringError: for an unknown axis, for harm that isn't a probability a prompt or that no gate reads, and for
            several answers to a prompt.

    Example:
        >>> answers = sweep(lm, Sliders(a=vector), ["Hi", "Why?"], [{}, {"a": 1.0}], max_new_tokens=2, progress=False)
        >>> len(answers), len(answers[0])
        (2, 2)
    """
    check_unset(options, {"num_return_sequences": 1}, "give one answer to a prompt")
    for setting in settings:
        check_axes(setting, sliders)
    scores = [None] * len(prompts) if harm is None else harm
    if len(scores) != len(prompts):
        raise SteeringError(f"Expected harm for each of {len(prompts)} prompts, found {len(scores)}.")
    chats = [lm.tokenize(prompt) for prompt in prompts]
    rows = [chat.ids for chat in chats]
    by_length = sorted(range(len(prompts)), key=lambda number: -len(rows[number]))
    answers = [[""] * len(settings) for _ in prompts]
    total = len(prompts) * len(settings)
    allows = Allows.of(lm)
    rows_per_batch = rows_per_batch if allows.batches else 1
    groups = [by_length] if allows.padding else [[*group] for _, group in groupby(by_length, lambda n: len(rows[n]))]
    with attach(sliders, lm, tokens=tokens) as dial, tqdm(total=total, unit="answer", disable=not progress) as bar:
        caches = PromptCaches(lm, dial, allows, chats, options)
        for columns in _parts(range(len(settings)), rows_per_batch):
            values = {axis: [settings[column].get(axis, 0.0) for column in columns] for axis in sliders}
            if caches.possible:
                caches.move(values)
            size = max(1, rows_per_batch // len(columns))
            for some in (part for group in groups for part in _parts(group, size)):
                shared = {"past_key_values": caches.of(some)} if caches.possible else {}
                cells = [(number, column) for number in some for column in columns]
                at_rows = {axis: value * len(some) for axis, value in values.items()}
                dial.set(harm=[scores[number] for number, _ in cells], **at_rows)
                texts = lm.generate([prompts[number] for number, _ in cells], max_new_tokens, **shared, **options)
                for (number, column), text in zip(cells, texts, strict=True):
                    answers[number][column] = text
                bar.update(len(cells))
    return answers


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
