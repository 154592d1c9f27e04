"""A PEFT adapter: a LoRA of rank 1 with zero matrices, whose bias is what a setting adds.

`lora_B.bias` of the last linear map of every moved block; PEFT reads it since 0.14 (`lora_bias`), but can't merge it
into a map without a bias. Engines that read LoRA's matrices only, vLLM among them, can't use it.

Source: `peft/tuners/lora/layer.py`.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from steering.errors import SteeringError
from steering.formats.baked import adding
from steering.formats.fixed_sliders import Exportable, as_fixed, file_additions
from steering.formats.last_projection import last_projection, module_name
from steering.formats.model_folder import TOLERANCE, float32_copy, forward_hooks, largest_difference, new_folder
from steering.models.language_model import LanguageModel


def to_peft(exportable: Exportable, path: str | Path, lm: LanguageModel) -> None:
    """Write the adapter's folder, whole or not at all: `PeftModel.from_pretrained(model, path)`.

    Raises SteeringError for anything but additions at blocks, for vectors of another model, and for a model on which
    the bias isn't the same as the hooks; checked by logits, with the memory of two more copies in float32.
    """
    fixed = as_fixed(exportable)
    additions = {layer: push.to(lm.model.dtype) for layer, push in file_additions(fixed, "a PEFT adapter").items()}
    fixed.check(lm.identity)
    modules: dict[str, tuple[nn.Linear, Tensor]] = {}
    for layer, push in additions.items():
        _, module = last_projection(lm.blocks[layer], lm.d_model)
        if not isinstance(module, nn.Linear):
            raise SteeringError(
                f"Expected a plain linear map at the end of block {layer} for PEFT, found {type(module).__name__!r}; "
                "bake the model instead."
            )
        modules[module_name(lm.model, module)] = module, push
    _check(lm, {name: push for name, (_, push) in modules.items()}, additions)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": lm.identity.name,
        "revision": lm.identity.revision,
        "r": 1,
        "lora_alpha": 1,
        "lora_dropout": 0.0,
        "lora_bias": True,
        "bias": "none",
        "target_modules": list(modules),
        "inference_mode": True,
    }
    weights = {}
    for name, (module, push) in modules.items():
        lora = f"base_model.model.{name}"
        weights[f"{lora}.lora_A.weight"] = torch.zeros(1, module.in_features, dtype=push.dtype)
        weights[f"{lora}.lora_B.weight"] = torch.zeros(module.out_features, 1, dtype=push.dtype)
        weights[f"{lora}.lora_B.bias"] = push.contiguous()
    with new_folder(path) as folder:
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
        save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _check(lm: LanguageModel, by_name: dict[str, Tensor], additions: dict[int, Tensor]) -> None:
    biased = float32_copy(lm.model)
    hooks: dict[nn.Module, Callable[[nn.Module, object, Tensor], Tensor]] = {
        biased.get_submodule(name): partial(_add, push) for name, push in by_name.items()
    }
    with forward_hooks(hooks):
        difference = largest_difference(biased, lm, lambda model: adding(model, additions, lm.blocks_path))
    if difference > TOLERANCE:
        raise SteeringError(
            f"An adapter of {lm.identity.model_type!r} can't hold this setting exactly: logits differ from those of "
            f"the hooks by {difference:.2g} of the largest, more than {TOLERANCE:g}; use hooks."
        )


def _add(push: Tensor, _module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    return output + push.to(output.device, output.dtype)
