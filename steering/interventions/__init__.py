"""What a hook does to the residual stream: pure functions of tensors, one a file, and how a slider drives each.

`INTERVENTIONS["mine"] = function` adds your own to what `SteeringVector(intervention=…)` knows.
"""

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
from steering.interventions.lower_projection import lower_projection
from steering.interventions.rotate import angle_in_plane, rotate
from steering.interventions.scale_component import scale_component
from steering.interventions.set_projection import set_projection

Intervention: TypeAlias = Callable[
    [
        Float[Tensor, "batch seq d_model"],
        Float[Tensor, "#batch 1 1"],
        Float[Tensor, " d_model"],
        Float[Tensor, " d_model"],
    ],
    Float[Tensor, "batch seq d_model"],
]
"""`(h, x, direction, reference) -> h`: x is the slider's value times the vector's unit and gate, in float32.

At x = 0 the caller leaves `h` as it is. The reference is the vector's second tensor, empty where it has none.
"""


def _set_projection(h: Tensor, x: Tensor, direction: Tensor, reference: Tensor) -> Tensor:
    axis = torch.nn.functional.normalize(direction, dim=-1)
    return set_projection(h, direction, reference @ axis + x * direction.norm(), x.abs().clamp(max=1.0))


def _lower_projection(h: Tensor, x: Tensor, direction: Tensor, reference: Tensor) -> Tensor:
    axis = torch.nn.functional.normalize(direction, dim=-1)
    return lower_projection(h, direction, reference @ axis, x.clamp(min=0.0))


def _rotate(h: Tensor, x: Tensor, direction: Tensor, reference: Tensor, adaptive: bool = False) -> Tensor:
    angle = angle_in_plane(h, direction, reference)
    target = torch.where(x > 0, 0.0, torch.copysign(torch.tensor(pi, device=h.device), angle))
    return rotate(h, direction, reference, angle + x.abs().clamp(max=1.0) * (target - angle), adaptive)


INTERVENTIONS: dict[str, Intervention] = {
    "add": lambda h, x, v, _: add(h, (x * v).to(h.dtype)),
    "add_above": lambda h, x, v, _: add(h, (x.clamp(min=0.0) * v).to(h.dtype)),
    "add_keeping_norm": lambda h, x, v, _: add_keeping_norm(h, x * v),
    "add_mapped": lambda h, x, v, reader: add_mapped(h, v, reader, x),
    "ablate": lambda h, x, v, _: ablate(h, v, x.clamp(0.0, 1.0)),
    "scale_component": lambda h, x, v, _: scale_component(h, v, 1 + x),
    "set_projection": _set_projection,
    "lower_projection": _lower_projection,
    "rotate": _rotate,
    "rotate_adaptive": lambda h, x, v, second: _rotate(h, x, v, second, adaptive=True),
}
"""How a slider at x drives each operation, with `v` the direction and `r̂` its unit vector:

- `add`, `add_keeping_norm`: adds `x·v`; `add_above` nothing below 0.
- `add_mapped`: adds `x (w·h) v`, with the reference `w`.
- `ablate`: strength x up to 1; below 0 nothing. Use unit -1 to ablate on the slider's minus side.
- `scale_component`: the component becomes `1 + x` times itself.
- `set_projection`: to `reference·r̂ + x‖v‖`, at strength `|x|` up to 1: at ±1 wholly.
- `lower_projection`: where it is above `reference·r̂`, by the share x of what is above; below 0 nothing.
- `rotate`: by the share `|x|` of the way to the direction, or to its opposite below 0, in the plane with the reference;
  `rotate_adaptive` only where `h` points along the direction.
"""

NEEDS_REFERENCE = ("add_mapped", "set_projection", "lower_projection", "rotate", "rotate_adaptive")
"""Interventions that a vector's `reference` belongs to."""
