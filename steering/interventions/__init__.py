"""What a hook does to the residual stream: pure functions of tensors, one a file, and how a slider drives each.

`INTERVENTIONS["mine"] = function` adds your own to what `Push(intervention=…)` knows.
"""

import inspect
from collections.abc import Callable
from math import pi
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from steering.interventions.ablate import ablate
from steering.interventions.add import add
from steering.interventions.add_keeping_norm import add_keeping_norm
from steering.interventions.add_mapped import add_mapped
from steering.interventions.couple import couple
from steering.interventions.lower_projection import lower_projection
from steering.interventions.rotate import angle_in_plane, rotate
from steering.interventions.scale_component import scale_component
from steering.interventions.set_projection import set_projection

Intervention: TypeAlias = Callable[..., Float[Tensor, "batch seq d_model"]]
"""`(h, x, direction, …) -> h`: x is the slider's strength times the push's and its gate, (#batch, 1, 1) in float32.

What follows are tensors that the push brings along, (d_model,) each, under the names that the function gives them. At
x = 0 the caller leaves `h` as it is.
"""


def _set_projection(h: Tensor, x: Tensor, direction: Tensor, center: Tensor) -> Tensor:
    axis = torch.nn.functional.normalize(direction, dim=-1)
    return set_projection(h, direction, center @ axis + x * direction.norm(), x.abs().clamp(max=1.0))


def _lower_projection(h: Tensor, x: Tensor, direction: Tensor, ceiling: Tensor) -> Tensor:
    axis = torch.nn.functional.normalize(direction, dim=-1)
    return lower_projection(h, direction, ceiling @ axis, x.clamp(min=0.0))


def _rotate(h: Tensor, x: Tensor, direction: Tensor, second_direction: Tensor, adaptive: bool = False) -> Tensor:
    angle = angle_in_plane(h, direction, second_direction)
    target = torch.where(x > 0, 0.0, torch.copysign(torch.tensor(pi, device=h.device), angle))
    return rotate(h, direction, second_direction, angle + x.abs().clamp(max=1.0) * (target - angle), adaptive)


INTERVENTIONS: dict[str, Intervention] = {
    "add": lambda h, x, v: add(h, (x * v).to(h.dtype)),
    "add_above": lambda h, x, v: add(h, (x.clamp(min=0.0) * v).to(h.dtype)),
    "add_keeping_norm": lambda h, x, v: add_keeping_norm(h, x * v),
    "add_mapped": lambda h, x, v, reader: add_mapped(h, v, reader, x),
    "couple": lambda h, x, v, reader, center: couple(h, v, reader, center, x),
    "ablate": lambda h, x, v: ablate(h, v, x.clamp(0.0, 1.0)),
    "scale_component": lambda h, x, v: scale_component(h, v, 1 + x),
    "set_projection": _set_projection,
    "lower_projection": _lower_projection,
    "rotate": lambda h, x, v, second_direction: _rotate(h, x, v, second_direction),
    "rotate_adaptive": lambda h, x, v, second_direction: _rotate(h, x, v, second_direction, adaptive=True),
}
"""How a slider at x drives each operation, with `v` the direction and `r̂` its unit vector:

- `add`, `add_keeping_norm`: adds `x·v`; `add_above` nothing below 0.
- `add_mapped`: adds `x (w·h) v`, with the reader `w`.
- `couple`: by the share x of the way to where its readout is the reader's, both read from the `center`.
- `ablate`: strength x up to 1; below 0 nothing. Use strength -1 to ablate on the slider's minus side.
- `scale_component`: the component becomes `1 + x` times itself.
- `set_projection`: to `center·r̂ + x‖v‖`, at strength `|x|` up to 1: at ±1 wholly.
- `lower_projection`: where it is above `ceiling·r̂`, by the share x of what is above; below 0 nothing.
- `rotate`: by the share `|x|` of the way to the direction, or to its opposite below 0, in the plane with the second
  direction; `rotate_adaptive` only where `h` points along the direction.
"""


def tensor_names(intervention: str) -> tuple[str, ...]:
    """Names of the tensors that an intervention takes besides the direction."""
    return tuple(inspect.signature(INTERVENTIONS[intervention]).parameters)[3:]
