"""Where a decoder block's attention heads come together: the site that head-level methods read and move."""

from jaxtyping import Float
from torch import Tensor, nn

from steering.errors import SteeringError, quoted

_NAMES = ("o_proj", "out_proj", "dense", "c_proj")


def output_projection(block: nn.Module) -> nn.Module:
    """The linear map from all heads' outputs, side by side, to the residual stream.

    Raises SteeringError when a block has none under a name that is known.
    """
    found: list[nn.Module] = [
        module
        for name, module in block.named_modules()
        if "att" in name.split(".")[0] and name.split(".")[-1] in _NAMES
    ]
    if len(found) != 1:
        raise SteeringError(
            f"Expected one output projection in the attention of {type(block).__name__!r}, found {len(found)} named "
            f"{quoted(_NAMES)}; head-level methods can't be used on this architecture."
        )
    return found[0]


def projection_weight(projection: nn.Module) -> Float[Tensor, "d_model heads_width"]:
    """Its matrix, in float32 on the CPU. (GPT-2's convolutions keep it transposed.)"""
    weight = projection.weight
    assert isinstance(weight, Tensor)
    matrix = weight if isinstance(projection, nn.Linear) else weight.T
    return matrix.detach().float().cpu()
