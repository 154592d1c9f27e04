"""Models with changed weights, as folders in transformers' layout, checked before they are in place."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from steering.errors import SteeringError
from steering.formats.fixed_sliders import Exportable, as_fixed, file_additions
from steering.hooks.dial import attach
from steering.models.adapters import check_without_adapters
from steering.models.identity import KnowsItsFile
from steering.models.language_model import LanguageModel
from steering.vectors.steering_vector import SteeringVector

TOLERANCE = 1e-5
"""Largest difference of logits in float32, as a share of the largest logit (at least 1)."""


def check_weights(lm: LanguageModel) -> None:
    """Raise SteeringError unless the model's weights are PyTorch's, and its own alone."""
    if isinstance(lm.model, KnowsItsFile):
        raise SteeringError(
            f"Expected weights that can be rewritten, found {lm.name!r} run by llama.cpp as it is packed; load it with "
            "the transformers engine."
        )
    check_without_adapters(lm.model)


def additions_for(exportable: Exportable, lm: LanguageModel, consumer: str) -> dict[int, Tensor]:
    """What is added at each block's output of this model, in its dtype. Raises SteeringError where it doesn't fit."""
    check_weights(lm)
    additions = file_additions(exportable, consumer)
    as_fixed(exportable).check(lm.identity)
    rounded = {layer: push.to(lm.model.dtype) for layer, push in additions.items()}
    if not all(push.isfinite().all() for push in rounded.values()):
        raise SteeringError(
            f"Expected a setting whose pushes {lm.model.dtype} can hold, found {as_fixed(exportable).moved}; choose "
            "smaller values, or load the model in float32."
        )
    return rounded


def last_projection(lm: LanguageModel, layer: int) -> tuple[str, nn.Module]:
    """The MLP's map to the residual stream, which a block writes last, with its name in the model.

    Raises SteeringError for a block whose MLP has none, such as one of experts.
    """
    block = lm.blocks[layer]
    found = [
        (name, module)
        for name, module in block.named_modules()
        if "att" not in name.split(".")[0] and _output_width(module) == lm.d_model
    ]
    if not found or "expert" in found[-1][0]:
        raise SteeringError(
            f"Expected a linear map from the MLP of {type(block).__name__!r} to the residual stream, found none; "
            "this architecture's weights can't hold a slider: use hooks."
        )
    return module_name(lm.model, found[-1][1]), found[-1][1]


def _output_width(module: nn.Module) -> object:
    """How many numbers a linear map gives, GPT-2's convolution among them; None for other modules."""
    if isinstance(module, nn.Linear):
        return module.out_features
    return module.nf if isinstance(module, Conv1D) else None


def module_name(model: nn.Module, module: nn.Module) -> str:
    """Dotted path of a module inside a model."""
    names: Iterator[tuple[str, nn.Module]] = model.named_modules()
    return next(name for name, candidate in names if candidate is module)


def write_model(
    folder: Path, lm: LanguageModel, kind: type[PreTrainedModel], config: PretrainedConfig, weights: dict[str, Tensor]
) -> None:
    """Write a model of this class and configuration with these weights, and the tokenizer of `lm`."""
    config.architectures = [kind.__name__]
    with torch.device("meta"):
        model: Any = kind(config)
    model.load_state_dict(weights, strict=True, assign=True)
    model.tie_weights()
    model.generation_config = lm.model.generation_config
    model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)


@torch.inference_mode()
def check_logits(
    changed: PreTrainedModel | Path, lm: LanguageModel, additions: Mapping[int, Tensor], what: str
) -> None:
    """Raise SteeringError unless a changed model, or the folder of one, has the logits of `lm` under hooks that add.

    Both in float32, within `TOLERANCE`; needs the memory of two more copies of the model.
    """
    model = load_float32(changed) if isinstance(changed, Path) else changed
    exact = float32_copy(lm.model)
    ids = random_ids(lm).to(exact.device)
    vector = SteeringVector(torch.stack(list(additions.values())), layers=tuple(additions))
    with attach({"all": vector}, exact, blocks=lm.blocks_path) as dial:
        dial.set(all=1.0)
        expected = exact(input_ids=ids).logits
    found = model(input_ids=ids.to(model.device)).logits.to(expected.device)
    difference = float((found - expected).abs().max() / expected.abs().max().clamp(min=1.0))
    if not difference <= TOLERANCE:  # nor if there is none to tell
        raise SteeringError(
            f"The weights of {lm.identity.model_type!r} can't hold this setting exactly: {what} logits differ from "
            f"those of the hooks by {difference:.2g} of the largest, more than {TOLERANCE:g}; use hooks."
        )


def load_float32(folder: Path) -> Any:
    """The model in a folder."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def float32_copy(model: PreTrainedModel) -> Any:
    """The model again: changing the copy leaves the model as it is."""
    return deepcopy(model).to(torch.float32)  # type: ignore[arg-type]


def random_ids(lm: LanguageModel) -> Tensor:
    """Token ids to compare models on, (2, 24)."""
    vocabulary = lm.model.config.get_text_config(decoder=True).vocab_size
    return torch.randint(0, vocabulary, (2, 24), generator=torch.Generator().manual_seed(0))
