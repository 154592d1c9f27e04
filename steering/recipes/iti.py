"""Inference-time intervention."""

import torch
from einops import rearrange
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from steering.models.hook_points import output_projection, projection_weight
from steering.recipes.inputs import RecipeInputs, with_directions
from steering.vectors.push import Push
from steering.vectors.slider import Slider

HEAD_SHARE = 0.05
"""Share of all heads that are moved; the paper takes 48 of 1,024."""
ALPHA = 15.0


def iti(inputs: RecipeInputs) -> Slider:
    """The heads that tell refusing from complying answers best are shifted between the means, from the prompt's end on.

    Every head gets a logistic probe on four fifths of the pairs; the accuracy on the rest ranks the heads. A chosen
    head's output moves by `α σ θ`: θ the unit difference in means, σ the outputs' deviation along it, α 15 at slider 1.
    The heads' outputs go through one linear map into the stream, so all shifts of a layer are one vector there.
    """
    lm = inputs.lm
    heads = lm.model.config.get_text_config(decoder=True).num_attention_heads
    sides = inputs.activations("safety-response", hook_point="z")
    by_head = "pairs layers (heads width) -> pairs layers heads width"
    positive, negative = (rearrange(side, by_head, heads=heads) for side in sides)
    accuracy = _held_out_accuracy(positive, negative)
    best = accuracy.flatten().topk(max(1, round(HEAD_SHARE * accuracy.numel()))).indices
    chosen = torch.zeros(accuracy.numel(), dtype=torch.bool).index_fill(0, best, True).reshape(accuracy.shape)

    theta = torch.nn.functional.normalize(positive.mean(0) - negative.mean(0), dim=-1)
    sigma = (torch.cat([positive, negative]) * theta).sum(-1).std(0)
    shifts = theta * (sigma * chosen).unsqueeze(-1)
    projections = [projection_weight(output_projection(block)) for block in lm.blocks]
    directions = torch.stack([weight @ shift.flatten() for weight, shift in zip(projections, shifts, strict=True)])
    layers = tuple(chosen.any(1).nonzero().flatten().tolist())
    vector = with_directions(inputs.vector("safety-response"), directions)
    return Slider((Push(vector, layers, ALPHA, hook_point="attn_out", tokens="answer"),))


def _held_out_accuracy(
    positive: Float[Tensor, "pairs layers heads width"], negative: Float[Tensor, "pairs layers heads width"]
) -> Float[Tensor, "layers heads"]:
    cut = max(1, len(positive) * 4 // 5)
    fitted = torch.cat([positive[:cut], negative[:cut]]).double()
    tested = torch.cat([positive[cut:], negative[cut:]]).double()
    deviation = fitted.std(0).clamp_min(1e-8)
    fitted, tested = ((side - fitted.mean(0)) / deviation for side in (fitted, tested))
    labels, held_out_labels = ([1] * pairs + [0] * pairs for pairs in (cut, len(positive) - cut))

    def accuracy(layer: int, head: int) -> float:
        probe = LogisticRegression(max_iter=1000).fit(fitted[:, layer, head].numpy(), labels)
        return float(probe.score(tested[:, layer, head].numpy(), held_out_labels))

    _, layers, heads, _ = fitted.shape
    return torch.tensor([[accuracy(layer, head) for head in range(heads)] for layer in range(layers)])
