"""TransformerLens 4: a setting of the sliders as hooks for a `TransformerBridge`.

Layer L here is the output of block L there too, `blocks.{L}.hook_resid_post`. The bridge must keep the weights as they
are, as that of `LanguageModel.bridge()` does: in compatibility mode it folds the norms, and the residual stream is
another one.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from torch import Tensor

from steering.formats.fixed_sliders import FixedSliders
from steering.interventions.add import add
from steering.vectors.slider import Slider

ForwardHook: TypeAlias = tuple[str, Callable[[Tensor, object], Tensor]]


def forward_hooks(sliders: Mapping[str, Slider], **values: float) -> list[ForwardHook]:
    """Hooks for `with bridge.hooks(fwd_hooks=forward_hooks(sliders, safety=1.0)):`, acting on every token.

    Args:
        sliders: by name.
        values: slider values; those that are not named are at 0.

    Returns:
        A hook point's name and its hook, for each moved block.

    Raises:
        SteeringError: for an unknown axis, and for a slider that does more than add at blocks on every token.
    """
    additions = FixedSliders(sliders, values).additions("TransformerLens")
    return [(f"blocks.{layer}.hook_resid_post", _adding(delta)) for layer, delta in additions.items()]


def _adding(delta: Tensor) -> Callable[[Tensor, object], Tensor]:
    def hook(h: Tensor, hook: object) -> Tensor:
        return add(h, delta.to(h.device, h.dtype))

    return hook
