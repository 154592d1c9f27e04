"""PEFT adapters in a model: which are active, disabled or merged, told without importing PEFT."""

from typing import Any, TypeAlias

from torch import nn

from steering.errors import SteeringError

AdapterState: TypeAlias = frozenset[str]
"""What every kind of adapter layer does, in words; empty without adapters."""


def adapter_state(model: nn.Module) -> AdapterState:
    """How the adapters in a model's layers stand. Two calls give the same unless adapters were switched or merged.

    Args:
        model: a transformers model.
    """
    if not hasattr(model, "peft_config"):
        return frozenset()
    return frozenset(_stand(layer) for layer in model.modules() if hasattr(layer, "merged_adapters"))


def check_without_adapters(model: nn.Module) -> None:
    """Raise SteeringError for a model, or a module of one, whose weights alone aren't what it does.

    Args:
        model: where adapters are looked for.
    """
    if any(hasattr(module, "merged_adapters") for module in model.modules()):
        raise SteeringError(
            "Expected weights without PEFT adapters beside them, found a model with adapters; use the model that "
            "merge_and_unload() returns."
        )


def _stand(layer: Any) -> str:
    active = [] if layer.disable_adapters else layer.active_adapters
    scaling = getattr(layer, "scaling", {})
    acting = ", ".join(f"{name} (scaling {scaling[name]:g})" if name in scaling else name for name in active)
    return f"active: {acting or 'none'}, merged: {', '.join(layer.merged_adapters) or 'none'}"
