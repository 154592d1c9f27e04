"""Training of control tokens: a LoRA adapter by PEFT, in a folder of its own. The model is left as it was."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from probes.trained.control_data import LEVELS, ControlData, ControlExample, controlled
from probes.trained.losses import answer_nll, clm, exmate
from steering import LanguageModel
from steering.atomic_write import check_folder, files_in
from steering.errors import SteeringError, first_line
from steering.extras import pip_install
from steering.models.identity import ModelIdentity

RECORD = "control_tokens.json"
Loss: TypeAlias = Literal["clm", "exmate"]


class ControlRecord(BaseModel, frozen=True, extra="forbid"):
    """What stands beside an adapter: what it was trained on and how."""

    model: ModelIdentity
    attributes: tuple[str, ...]
    scored_by: str
    loss: Loss
    examples: int
    epochs: int
    learning_rate: float
    batch_size: int
    rank: int
    seed: int
    losses: tuple[float, ...]
    """Mean loss of each epoch."""


@dataclass(frozen=True)
class Training:
    """How an adapter is trained."""

    loss: Loss = "exmate"
    epochs: int = 3
    learning_rate: float = 5e-4
    batch_size: int = 8
    rank: int = 8
    seed: int = 0


def train_control_tokens(
    lm: LanguageModel,
    data: ControlData,
    folder: str | Path,
    training: Training | None = None,
    *,
    progress: bool = True,
) -> ControlRecord:
    """Train an adapter that answers at the levels that control tokens ask for.

    Args:
        lm: the model, with no adapter; its weights are left as they are.
        data: from `self_generated`.
        folder: where adapter and record are written.
        training: loss, epochs and the rest; ExMATE, three epochs, unless given.
        progress: show a bar.

    Returns:
        The record, with each epoch's mean loss.

    Raises:
        SteeringError: without PEFT, for a model that has an adapter, and for a folder that exists or can't be written.

    Example:
        >>> train_control_tokens(lm, data, "control", Training(loss="clm"))  # doctest: +SKIP
    """
    peft = peft_library()
    training, folder = training or Training(), Path(folder)
    if folder.exists():
        raise SteeringError(f"{str(folder)!r} exists; name a new folder.")
    check_folder(folder)
    config = peft.LoraConfig(
        r=training.rank, lora_alpha=2 * training.rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    settings = {name: getattr(training, name) for name in Training.__dataclass_fields__}
    record = ControlRecord(
        model=lm.identity,
        attributes=data.attributes,
        scored_by=data.scored_by,
        examples=len(data.examples),
        losses=(),
        **settings,
    )
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        with _wrapped(lm.model, config) as wrapper:
            losses = _epochs(replace(lm, model=wrapper), wrapper, data, training, progress)
            record = record.model_copy(update={"losses": tuple(losses)})
            with files_in(folder) as temporary:
                wrapper.save_pretrained(temporary)
                (temporary / RECORD).write_text(record.model_dump_json(indent=2), encoding="utf-8")
    return record


def _epochs(
    lm: LanguageModel, wrapper: nn.Module, data: ControlData, training: Training, progress: bool
) -> list[float]:
    """Mean loss of every epoch. The model stays in evaluation mode: no dropout, and LoRA has none."""
    draw = random.Random(training.seed)
    parameters = [parameter for parameter in wrapper.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=training.learning_rate, weight_decay=0.0)
    examples, losses = list(data.examples), []
    steps = range(0, len(examples), training.batch_size)
    bar = tqdm(total=training.epochs * len(steps), desc="training control tokens", disable=not progress)
    with bar:
        for _ in range(training.epochs):
            draw.shuffle(examples)
            found = []
            for start in steps:
                batch = examples[start : start + training.batch_size]
                loss = _loss(lm, batch, training.loss, draw)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                found.append(float(loss.detach()))
                bar.update()
            losses.append(sum(found) / len(found))
    return losses


def _loss(lm: LanguageModel, batch: list[ControlExample], loss: Loss, draw: random.Random) -> torch.Tensor:
    answers = [example.answer for example in batch]
    own = answer_nll(lm, [controlled(example.prompt, example.levels) for example in batch], answers)
    if loss == "clm":
        return clm(own)
    wrong = [controlled(example.prompt, _wrong_levels(example, draw)) for example in batch]
    return exmate(own, answer_nll(lm, wrong, answers))


def _wrong_levels(example: ControlExample, draw: random.Random) -> dict[str, int]:
    """Levels of which one at least isn't the answer's."""
    while (levels := {name: draw.randrange(LEVELS) for name in example.levels}) == example.levels:
        pass
    return levels


@contextmanager
def adapted(lm: LanguageModel, folder: str | Path) -> Iterator[LanguageModel]:
    """The model with a trained adapter, which is taken off again at the end.

    Args:
        lm: the model that the adapter was trained on.
        folder: where it is.

    Raises:
        SteeringError: without PEFT, or for a folder that holds no adapter for the model.
    """
    peft, weights = peft_library(), Path(folder) / "adapter_model.safetensors"
    if not weights.is_file():  # PEFT would look on the Hub, or unpickle
        raise SteeringError(f"Expected an adapter in safetensors in {str(folder)!r}, found none; train it again.")
    with _wrapped(lm.model, peft.PeftConfig.from_pretrained(str(folder))) as wrapper:
        try:
            loaded = peft.set_peft_model_state_dict(wrapper, load_file(weights))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise SteeringError(f"{str(folder)!r} holds no adapter for this model: {first_line(error)}.") from error
        if loaded.unexpected_keys:
            raise SteeringError(f"{str(folder)!r} holds no adapter for this model; train one for it.")
        yield replace(lm, model=wrapper)


@contextmanager
def _wrapped(model: PreTrainedModel, config: Any) -> Iterator[Any]:
    """The model in a new PEFT wrapper; its layers and what they froze are undone at the end."""
    if hasattr(model, "peft_config"):
        raise SteeringError("Expected a model without an adapter for control tokens, found one; load the model anew.")
    trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    wrapper = peft_library().get_peft_model(model, config)
    try:
        yield wrapper
    finally:
        wrapper.unload()
        for name in ("peft_config", "_hf_peft_config_loaded"):
            if name in vars(model):
                delattr(model, name)
        for parameter, required in trainable:
            parameter.requires_grad_(required)


def peft_library() -> Any:
    """PEFT, or a SteeringError that says how to get it."""
    try:
        return import_module("peft")
    except ImportError as error:
        raise SteeringError(f"Trained control needs the package 'peft'; run: {pip_install('trained')}") from error
