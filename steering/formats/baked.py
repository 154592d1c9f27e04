"""A model with a setting of the sliders in its weights, as a folder that transformers loads like any other.

What is added at a block's output is a bias of the last linear map in it. That is exact where nothing comes between that
map and the residual stream: not on Gemma-2 and 3, which have a norm there. The folder is only kept when its own logits,
as transformers loads them, equal those of the hooks.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedModel

from steering.errors import SteeringError
from steering.formats.fixed_sliders import Exportable, as_fixed, file_additions
from steering.formats.last_projection import last_projection, module_name
from steering.formats.llama_form import llama_form
from steering.formats.model_folder import TOLERANCE, largest_difference, new_folder, write_model
from steering.hooks.dial import attach
from steering.models.language_model import LanguageModel
from steering.vectors.steering_vector import SteeringVector


def to_baked(exportable: Exportable, path: str | Path, lm: LanguageModel) -> None:
    """Write the folder, whole or not at all: the model `lm` as the setting moves it, and its tokenizer.

    Llama, Mistral and Qwen2 become Llama models with biases; a family whose MLP has a bias stays what it is. The check
    needs the memory of two more copies of the model, in float32.

    Raises SteeringError for anything but additions at blocks, for vectors of another model, and where the logits of the
    result differ from those of the hooks by more than `TOLERANCE`.
    """
    fixed = as_fixed(exportable)
    additions = {layer: push.to(lm.model.dtype) for layer, push in file_additions(fixed, "a baked model").items()}
    fixed.check(lm.identity)
    projections = {layer: last_projection(lm.blocks[layer], lm.d_model)[1] for layer in additions}
    names = {layer: f"{module_name(lm.model, module)}.bias" for layer, module in projections.items()}
    if all(module.bias is not None for module in projections.values()):
        kind, config, weights = type(lm.model), deepcopy(lm.model.config), dict(lm.model.state_dict())
    else:
        kind = LlamaForCausalLM
        config, weights = llama_form(lm)
    for layer, push in additions.items():
        weights[names[layer]] = weights[names[layer]] + push.to(weights[names[layer]].device)
    with new_folder(path) as folder:
        write_model(folder, lm, kind, config, weights)
        difference = largest_difference(folder, lm, lambda model: adding(model, additions, lm.blocks_path))
        if difference > TOLERANCE:
            raise SteeringError(
                f"The weights of {lm.identity.model_type!r} can't hold this setting exactly: baked logits differ from "
                f"those of the hooks by {difference:.2g} of the largest, more than {TOLERANCE:g}; use hooks."
            )


def adding(
    model: PreTrainedModel, additions: Mapping[int, Tensor], blocks: str | None = None
) -> AbstractContextManager[object]:
    """The hooks that add to blocks' outputs, on a model for the body of a `with`."""
    vector = SteeringVector(torch.stack(list(additions.values())), layers=tuple(additions))
    dial = attach({"all": vector}, model, blocks=blocks)
    dial.set(all=1.0)
    return dial
