"""The linear map that a decoder block writes to the residual stream last: where an addition can hide in the weights."""

from torch import nn
from transformers.pytorch_utils import Conv1D

from steering.errors import SteeringError


def last_projection(block: nn.Module, d_model: int) -> tuple[str, nn.Module]:
    """Name inside the block, and module, of the MLP's map to the residual stream.

    Raises SteeringError for a block whose MLP has none, such as one of experts.
    """
    found = [
        (name, module)
        for name, module in block.named_modules()
        if "att" not in name.split(".")[0] and output_width(module) == d_model
    ]
    if not found or "expert" in found[-1][0]:
        raise SteeringError(
            f"Expected a linear map from the MLP of {type(block).__name__!r} to the residual stream, found none; "
            "this architecture's weights can't hold a slider: use hooks."
        )
    return found[-1]


def output_width(module: nn.Module) -> int | None:
    """Of a linear map, GPT-2's convolution among them; None for other modules."""
    if isinstance(module, nn.Linear):
        return module.out_features
    return int(module.nf) if isinstance(module, Conv1D) else None


def module_name(model: nn.Module, module: nn.Module) -> str:
    """Dotted path of a module inside a model."""
    names: dict[nn.Module, str] = {candidate: name for name, candidate in model.named_modules()}
    return names[module]
