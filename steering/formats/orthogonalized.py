"""A model that can't write along a direction: `W ← (I - r̂ r̂ᵀ) W` for every matrix that writes to the residual stream.

Embeddings, attention's output and the MLP's output (Arditi et al., arXiv 2406.11717, section 4). It does what ablation
by hooks at the embeddings, after attention and after every block does.
"""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from steering.atomic_write import new_folder
from steering.errors import SteeringError
from steering.formats.fixed_sliders import Exportable, FixedSliders, as_fixed
from steering.formats.model_folder import (
    TOLERANCE,
    check_weights,
    last_projection,
    load_float32,
    module_name,
    random_ids,
    write_model,
)
from steering.models.decoder_blocks import find_blocks
from steering.models.hook_points import output_projection, reading_hook, temporary_hooks
from steering.models.language_model import LanguageModel


def to_orthogonalized(exportable: Exportable, path: str | Path, lm: LanguageModel) -> None:
    """Write the model's folder, whole or not at all.

    The one thing that moves has to be the ablation of one direction, wholly, at every block: the recipe
    `refusal_direction` at -1, or a push of your own with `intervention="ablate"`. Tied output embeddings are untied,
    so that only what is written changes.

    Raises SteeringError for anything else, for a vector of another model, and for a model whose residual stream still
    has a part along the direction, such as Gemma-2, where norms stand between the matrices and the stream.
    """
    check_weights(lm)
    fixed = as_fixed(exportable)
    fixed.check(lm.identity)
    direction = ablated_direction(fixed, lm.n_layers)
    config, weights = deepcopy(lm.model.config), dict(lm.model.state_dict())
    if config.tie_word_embeddings:
        config.tie_word_embeddings = False
        weights["lm_head.weight"] = weights["lm_head.weight"].clone()
    for name in _writers(lm):
        # Embeddings and GPT-2's convolutions keep what they write in rows, linear maps in columns.
        in_columns = isinstance(lm.model.get_submodule(name), nn.Linear)
        matrix = weights[f"{name}.weight"]
        kept = _without(direction, matrix.T if in_columns else matrix)
        weights[f"{name}.weight"] = (kept.T if in_columns else kept).contiguous()
        if f"{name}.bias" in weights:
            weights[f"{name}.bias"] = _without(direction, weights[f"{name}.bias"])
    with new_folder(path) as folder:
        write_model(folder, lm, type(lm.model), config, weights)
        left = share_left(folder, lm, direction)
        if left > max(TOLERANCE, 4 * torch.finfo(lm.model.dtype).eps):  # what rounding the weights may leave
            raise SteeringError(
                f"The weights of {lm.identity.model_type!r} can't hold this ablation: {left:.2g} of a state still "
                "points along the direction; use hooks."
            )


def ablated_direction(fixed: FixedSliders, n_layers: int) -> Tensor:
    """The one direction, at norm 1, that the setting ablates wholly at every block.

    Raises SteeringError for a setting that does anything else.
    """
    acting = [
        (push, strength * push.strength)
        for slider, strength in fixed.strengths
        for push in slider.pushes
        if not (push.intervention in ("ablate", "add_above") and strength * push.strength <= 0)
    ]
    for push, strength in acting:
        plain = push.gate is None and (push.hook_point, push.tokens) == ("resid_post", "all")
        if push.intervention != "ablate" or strength < 1 or not plain or len(push.layers) != n_layers:
            raise SteeringError(
                f"Expected the ablation of one direction at all {n_layers} blocks, ungated, on all tokens, strength 1, "
                f"found {replace(push, strength=strength).summary().text} of {push.vector.title!r}; weights can hold "
                "nothing else."
            )
    if len(acting) != 1:
        raise SteeringError(f"Expected one ablation, found {len(acting)}; set one slider to where it ablates.")
    vector = acting[0][0].vector
    units = vector.normalized().directions
    if not torch.allclose(units @ units[0], torch.ones(len(units)), atol=1e-5):
        raise SteeringError(
            f"Expected one direction for all blocks, found several in {vector.title!r}; "
            "make a vector that has the same at each: vector[layer].expand_as(vector.directions)."
        )
    return units[0]


def _writers(lm: LanguageModel) -> list[str]:
    """Names of the modules whose matrices write to the residual stream."""
    modules = lm.model.named_modules()
    embeddings = [name for name, m in modules if isinstance(m, nn.Embedding) and m.embedding_dim == lm.d_model]
    attention = [module_name(lm.model, output_projection(block)) for block in lm.blocks]
    return embeddings + attention + [last_projection(lm, layer)[0] for layer in range(lm.n_layers)]


def _without(direction: Tensor, rows: Tensor) -> Tensor:
    """Rows (…, d_model) without their part along the direction, worked out in float64."""
    unit = direction.to(rows.device, torch.float64)
    exact = rows.double()
    return (exact - (exact @ unit).unsqueeze(-1) * unit).to(rows.dtype)


@torch.inference_mode()
def share_left(folder: Path, lm: LanguageModel, direction: Tensor) -> float:
    """Largest `|r̂·h| / ‖h‖` of the states h at all blocks' outputs of the model in a folder."""
    model = load_float32(folder)
    shares: list[float] = []

    def read(h: Tensor) -> None:
        shares.append(float(((h @ direction.to(h.device)).abs() / h.norm(dim=-1)).max()))

    with temporary_hooks(reading_hook(block, "resid_post", read) for block in find_blocks(model, lm.blocks_path)):
        model(input_ids=random_ids(lm))
    return max(shares)
