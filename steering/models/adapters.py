"""PEFT adapters that act in a model: what is recorded of them.

PEFT's layers are known by what they have: PEFT is not imported, and need not be installed.
"""

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Protocol, TypeGuard

from pydantic import BaseModel
from torch import Tensor, nn

from steering.errors import SteeringError
from steering.models.weights_print import WeightsPrint, own_tensors, weights_print


class Adapter(BaseModel, frozen=True, extra="forbid"):
    """An adapter that acts, apart from the weights beneath it."""

    name: str
    scaling: tuple[float, ...] = ()
    """Of LoRA's layers, each number once; empty for an adapter that has none."""
    weights: WeightsPrint | None = None

    def matches(self, other: "Adapter") -> bool:
        """Whether both do the same, under whatever name."""
        known = self.weights is not None and other.weights is not None
        return self.scaling == other.scaling and (not known or self.weights.matches(other.weights))  # type: ignore

    def __str__(self) -> str:
        scaling = f" scaled by {', '.join(f'{number:g}' for number in self.scaling)}" if self.scaling else ""
        return f"{self.name}{scaling} with weights {self.weights or 'unknown'}"


class _AdapterLayer(Protocol):
    """What is used of PEFT's `BaseTunerLayer` and `AuxiliaryTrainingWrapper`."""

    active_adapters: list[str]
    disable_adapters: bool
    merged_adapters: list[str]
    adapter_layer_names: tuple[str, ...]


def active_adapters(places: Iterable[nn.Module]) -> tuple[Adapter, ...]:
    """The adapters that act in places of a model, in the order of their names; none that is merged or disabled."""
    layers = [[module for module in place.modules() if _acts(module)] for place in places]
    names = sorted({name for place in layers for layer in place for name in layer.active_adapters})
    return tuple(_adapter(name, layers) for name in names)


def adapter_state(model: nn.Module) -> frozenset[str]:
    """How the adapters in a model's layers stand. Two calls give the same unless adapters were switched or merged.

    Args:
        model: a transformers model.

    Returns:
        What every kind of adapter layer does, in words; empty without adapters.
    """
    if not hasattr(model, "peft_config"):
        return frozenset()
    return frozenset(_stand(module) for module in model.modules() if _has_adapters(module))


def check_without_adapters(model: nn.Module) -> None:
    """Raise SteeringError for a model, or a module of one, whose weights alone aren't what it does.

    Args:
        model: where adapters are looked for.
    """
    if any(map(_has_adapters, model.modules())):
        raise SteeringError(
            "Expected weights without PEFT adapters beside them, found a model with adapters; use the model that "
            "merge_and_unload() returns."
        )


def _stand(layer: _AdapterLayer) -> str:
    active = [] if layer.disable_adapters else layer.active_adapters
    scaling = getattr(layer, "scaling", {})
    acting = ", ".join(f"{name} (scaling {scaling[name]:g})" if name in scaling else name for name in active)
    return f"active: {acting or 'none'}, merged: {', '.join(layer.merged_adapters) or 'none'}"


def _adapter(name: str, places: list[list[_AdapterLayer]]) -> Adapter:
    layers = [layer for place in places for layer in place if name in layer.active_adapters]
    scaling = {float(by_adapter[name]) for layer in layers if name in (by_adapter := getattr(layer, "scaling", {}))}
    seen: set[int] = set()
    tensors = [[tensor for layer in place for tensor in _tensors(layer, name, seen)] for place in places]
    return Adapter(name=name, scaling=tuple(sorted(scaling)), weights=weights_print(tensors))


def _has_adapters(module: nn.Module | _AdapterLayer) -> TypeGuard[_AdapterLayer]:
    return hasattr(module, "adapter_layer_names") and hasattr(module, "merged_adapters")


def _acts(module: nn.Module) -> TypeGuard[_AdapterLayer]:
    return _has_adapters(module) and not module.disable_adapters and not module.merged_adapters


def _tensors(layer: _AdapterLayer, name: str, seen: set[int]) -> Iterator[Tensor]:
    """The adapter's weights in one layer: parameters, or modules, listed by adapter."""
    if name not in layer.active_adapters:
        return
    for held in layer.adapter_layer_names:
        part = dict(attrgetter(held)(layer).items()).get(name)
        if isinstance(part, nn.Module):
            yield from own_tensors(part, seen)
        elif isinstance(part, Tensor) and id(part) not in seen:
            seen.add(id(part))
            yield part
