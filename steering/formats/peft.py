"""A PEFT adapter: a LoRA of rank 1 with zero matrices, whose bias is what a setting adds.

`lora_B.bias` of the last linear map of every moved block; PEFT reads it since 0.14 (`lora_bias`), but can't merge it
into a map without a bias. Engines that read LoRA's matrices only, vLLM among them, can't use it.

Source: `peft/tuners/lora/layer.py`.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from steering.atomic_write import new_folder
from steering.errors import SteeringError
from steering.formats.fixed_sliders import Exportable
from steering.formats.model_folder import additions_for, check_logits, float32_copy, last_projection
from steering.models.language_model import LanguageModel


def to_peft(exportable: Exportable, path: str | Path, lm: LanguageModel) -> None:
    """Write the adapter's folder, whole or not at all: `PeftModel.from_pretrained(model, path)`.

    Raises SteeringError for anything but additions at blocks, for vectors of another model, and for a model on which
    the bias isn't the same as the hooks (see `check_logits`).
    """
    additions = additions_for(exportable, lm, "a PEFT adapter")
    biased = float32_copy(lm.model)
    weights: dict[str, Tensor] = {}
    names = []
    for layer, push in additions.items():
        name, module = last_projection(lm, layer)
        if not isinstance(module, nn.Linear):
            raise SteeringError(
                f"Expected a plain linear map at the end of block {layer} for PEFT, found {type(module).__name__!r}; "
                "bake the model instead."
            )
        names.append(name)
        lora = f"base_model.model.{name}"
        weights[f"{lora}.lora_A.weight"] = torch.zeros(1, module.in_features, dtype=push.dtype)
        weights[f"{lora}.lora_B.weight"] = torch.zeros(module.out_features, 1, dtype=push.dtype)
        weights[f"{lora}.lora_B.bias"] = push.contiguous()
        changed = biased.get_submodule(name)
        bias = push.to(changed.weight) if changed.bias is None else changed.bias + push.to(changed.bias)
        changed.bias = nn.Parameter(bias)
    check_logits(biased, lm, additions, "PEFT's")
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
        "target_modules": names,
        "inference_mode": True,
    }
    with new_folder(path) as folder:
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
        save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
