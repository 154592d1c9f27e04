"""The transformers model inside what others wrap it in: PEFT, `torch.compile`, `DataParallel`, a training library.

Wrappers are known by the model that they hold; none of their packages is imported.
"""

from torch import nn
from transformers import PreTrainedModel

from steering.errors import SteeringError, quoted


def unwrapped(model: nn.Module) -> PreTrainedModel:
    """The one transformers model in a wrapper, or the model itself.

    Whatever the wrapper does, it ends in forward passes of that model, whose blocks steering acts on.

    Args:
        model: a transformers model, or a module that holds one.

    Returns:
        The outermost `PreTrainedModel`.

    Raises:
        SteeringError: for a module without a transformers model or with several, for a `DataParallel` that runs copies,
            and for PEFT's prompt learning, which isn't in the model.

    Example:
        >>> unwrapped(torch.nn.DataParallel(lm.model)) is lm.model
        True
    """
    if isinstance(model, PreTrainedModel):
        return model
    if not isinstance(model, nn.Module):
        raise SteeringError(
            f"Expected a transformers model or a wrapper of one, found {type(model).__name__!r}; "
            "load it with transformers, or with steering.load."
        )
    found = _outermost(model)
    if len(found) != 1:
        raise SteeringError(
            f"Expected one transformers model in {type(model).__name__!r}, found {quoted(found)}; attach to one itself."
        )
    for part in model.modules():
        _check_acts_inside(part)
    return next(iter(found.values()))


def _outermost(wrapper: nn.Module) -> dict[str, PreTrainedModel]:
    """The transformers models in a wrapper, by their paths, without those inside of others."""
    models = {name: part for name, part in wrapper.named_modules() if isinstance(part, PreTrainedModel)}
    return {name: part for name, part in models.items() if not any(name.startswith(f"{other}.") for other in models)}


def _check_acts_inside(wrapper: nn.Module) -> None:
    if isinstance(wrapper, nn.DataParallel) and len(wrapper.device_ids) > 1:
        raise SteeringError(
            f"Expected a model that runs where it is, found DataParallel on {len(wrapper.device_ids)} devices, which "
            "runs copies; load it with device_map='auto', or start a process for each device."
        )
    adapters = getattr(wrapper, "peft_config", None)
    if isinstance(adapters, dict) and any(getattr(one, "is_prompt_learning", False) for one in adapters.values()):
        raise SteeringError(
            f"Expected an adapter inside the model, as LoRA is, found prompt learning {quoted(adapters)}, whose "
            "virtual tokens stand before every prompt; attach to the model without them, or train a LoRA."
        )
