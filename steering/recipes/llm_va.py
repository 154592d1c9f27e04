"""Vector alignment: the decision to answer follows the judgment of the prompt."""

import torch
from jaxtyping import Float
from sklearn.svm import LinearSVC
from torch import Tensor
from torch.nn.functional import normalize

from steering.recipes.inputs import RecipeInputs, with_directions
from steering.scoring.next_token import refusal_score
from steering.vectors.push import Push
from steering.vectors.slider import Slider

SHARE = 1 / 3
"""Share of all prompts at each end of the refusal score: they count as answered, and as refused."""
REGULARIZATION = 0.01
"""scikit-learn's C, as for the logistic probe."""


def llm_va(inputs: RecipeInputs) -> Slider:
    """The readout along the answer direction is drawn to that along the benign one, which tells harmful prompts apart.

    `h + x (κ v_b·(h - c) - v_a·(h - c)) v_a` at the prompt's last token and what follows: v are unit normals of linear
    SVMs without an intercept, κ the ratio of the readouts' deviations, c the mean activation. The paper sorts prompts
    by judged answers, reads from c = 0, and edits the output weights of attention and MLP at selected layers until the
    directions agree; here the first token's refusal sorts them, and the recommended blocks' outputs move by any share.
    """
    vector = inputs.vector("safety")
    harmful, harmless = inputs.activations("safety")
    activations = torch.cat([harmful, harmless, inputs.prompt_activations("over-refusal")]).double()
    pairs = inputs.contrast_set("safety").split()[0]
    look_alikes = inputs.contrast_set("over-refusal").split()[0]
    prompts = [
        *(pair.positive for pair in pairs),
        *(pair.negative for pair in pairs),
        *(pair.positive[:-1] for pair in look_alikes),
    ]
    order = refusal_score(inputs.lm, prompts).argsort()
    count = max(1, round(SHARE * len(order)))
    answered, refused = order[:count], order[-count:]
    center = activations.mean(0)
    centered = activations - center
    benign = _normals(centered[len(harmful) :], centered[: len(harmful)])
    answer = _normals(centered[answered], centered[refused])
    ratio = _deviation(centered, answer) / _deviation(centered, benign)
    tensors = {"reader": (ratio * benign).float(), "center": center.float()}
    push = Push(with_directions(vector, answer), intervention="couple", tensors=tensors, tokens="answer")
    return Slider((push,))


def _normals(
    positive: Float[Tensor, "prompts layers d_model"], negative: Float[Tensor, "prompts layers d_model"]
) -> Float[Tensor, "layers d_model"]:
    """At each layer the unit normal of the plane through 0 that parts the sides, toward the positive one."""
    labels = [1] * len(positive) + [0] * len(negative)
    normals = []
    for layer in torch.cat([positive, negative]).unbind(1):
        deviation = layer.std(0).median().clamp_min(torch.finfo(torch.float32).tiny)
        machine = LinearSVC(C=REGULARIZATION, fit_intercept=False, max_iter=2000)
        normals.append(torch.from_numpy(machine.fit((layer / deviation).numpy(), labels).coef_[0]))
    return normalize(torch.stack(normals), dim=-1)


def _deviation(
    centered: Float[Tensor, "prompts layers d_model"], axis: Float[Tensor, "layers d_model"]
) -> Float[Tensor, "layers 1"]:
    return (centered * axis).sum(-1).std(0).unsqueeze(-1)
