"""Hook points in a decoder block, by TransformerLens' names, and hooks that come off by themselves."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, TypeAlias, get_args

from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from steering.errors import SteeringError, quoted
from steering.models.adapters import check_without_adapters
from steering.models.decoder_blocks import block_output

HookPoint: TypeAlias = Literal["resid_post", "attn_out", "z"]
"""Where in a block activations are read or moved:

- `resid_post`: the residual stream that the block returns.
- `attn_out`: what attention's output projection returns.
- `z`: the heads' outputs, side by side: that projection's input, as wide as all heads together.
"""
ForwardHook: TypeAlias = Callable[[nn.Module, tuple[Any, ...], Any], Any]
"""`(module, inputs, output)`, as `torch.nn.Module.register_forward_hook` takes it."""

_PROJECTIONS = ("o_proj", "out_proj", "dense", "c_proj")


def hooked_module(block: nn.Module, hook_point: HookPoint) -> nn.Module:
    """The module whose output is at the hook point of a block; for `z` its input is."""
    if hook_point not in get_args(HookPoint):
        raise SteeringError(f"There is no hook point {hook_point!r}; choose from {quoted(get_args(HookPoint))}.")
    return block if hook_point == "resid_post" else output_projection(block)


def no_hook(*_args: object, **_kwargs: object) -> None:
    """A forward hook that does nothing: it stands in copies of a module for hooks that belong to the module alone."""


def reading_hook(
    block: nn.Module, hook_point: HookPoint, read: Callable[[Float[Tensor, "batch seq width"]], object]
) -> tuple[nn.Module, ForwardHook]:
    """For `temporary_hooks`: give `read` the activations at a block's hook point whenever the block runs."""

    def hook(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        read(inputs[0] if hook_point == "z" else block_output(output))

    return hooked_module(block, hook_point), hook


@contextmanager
def temporary_hooks(hooks: Iterable[tuple[nn.Module, ForwardHook]]) -> Iterator[None]:
    """Run each hook after its module's forward passes inside; they come off at the end, whatever happens."""
    with ExitStack() as stack:
        for module, hook in hooks:
            stack.callback(module.register_forward_hook(hook).remove)
        yield


def output_projection(block: nn.Module) -> nn.Module:
    """The linear map from all heads' outputs, side by side, to the stream. Raises SteeringError where none is found."""
    modules: Iterator[tuple[str, nn.Module]] = block.named_modules()
    paths = [(name.split("."), module) for name, module in modules]
    found = [module for path, module in paths if "att" in path[0] and path[-1] in _PROJECTIONS]
    if len(found) != 1:
        raise SteeringError(
            f"Expected one output projection in the attention of {type(block).__name__!r}, found {len(found)} named "
            f"{quoted(_PROJECTIONS)}; head-level methods can't be used on this architecture."
        )
    return found[0]


def projection_weight(projection: nn.Module) -> Float[Tensor, "d_model heads_width"]:
    """Its matrix, in float32 on the CPU. Raises SteeringError where an adapter adds to it."""
    check_without_adapters(projection)
    return _matrix(projection).detach().float().cpu()


def heads_width(projection: nn.Module) -> int:
    """Width of all heads' outputs together, which the projection takes."""
    return _matrix(projection).shape[1]


def _matrix(projection: nn.Module) -> Float[Tensor, "d_model heads_width"]:
    weight = projection.weight
    assert isinstance(weight, Tensor)
    return weight.T if isinstance(projection, Conv1D) else weight  # GPT-2's convolutions keep it transposed
