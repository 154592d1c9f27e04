"""Lowering what is too high: ablation down to a level, and of nothing that lies below it."""

from jaxtyping import Float
from torch import Tensor

from steering.interventions.projection import unit, wide


def lower_projection(
    h: Float[Tensor, "batch seq d_model"],
    direction: Float[Tensor, " d_model"],
    ceiling: float | Float[Tensor, "#batch 1 1"],
    strength: float | Float[Tensor, "#batch 1 1"] = 1.0,
) -> Float[Tensor, "batch seq d_model"]:
    """`h - λ max(0, r̂ᵀh - t) r̂`: at strength λ = 1 no activation's projection on the direction is above the ceiling t.

    What lies below the ceiling stays as it is, so that a direction of refusal is taken from what leans to refuse and
    from nothing else: on ordinary prompts a hundredth of the KL of a constant push that turns as many refusals
    (measured: docs/experiments.md).
    """
    activations, axis = wide(h), unit(direction, h)
    excess = ((activations @ axis).unsqueeze(-1) - ceiling).clamp(min=0.0)
    return (activations - strength * excess * axis).to(h.dtype)
