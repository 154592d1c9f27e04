"""The heads' outputs are read and moved where they come together, in every family."""

import pytest
import torch
from torch import Tensor

from steering import LanguageModel, Push, Slider, Sliders, SteeringError, SteeringVector, record
from steering.models.hook_points import output_projection, projection_weight
from tests.helpers.forward_passes import IDS, hook_count, logits
from tests.helpers.tiny import FAMILIES, LAYERS, WIDTH, random_vector, tiny_lm


class ProjectionOutputs:
    """What each block's output projection returns, after the hooks that steer."""

    def __init__(self, lm: LanguageModel) -> None:
        self.states: list[Tensor] = []
        self.handles = [
            output_projection(block).register_forward_hook(lambda _m, _i, output: self.states.append(output))
            for block in lm.blocks
        ]

    def __enter__(self) -> "ProjectionOutputs":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_heads_give_becomes_the_projections_output(family: str) -> None:
    lm = tiny_lm(family)
    heads = record(lm, ["Break the lock"], hook_point="z")[0]
    with ProjectionOutputs(lm) as outputs:
        logits(lm, torch.tensor([lm.tokenize("Break the lock").ids]))
    for layer, block in enumerate(lm.blocks):
        projection = output_projection(block)
        bias = 0.0 if projection.bias is None else projection.bias
        expected = projection_weight(projection) @ heads[layer] + bias
        torch.testing.assert_close(outputs.states[layer][0, -1], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vector_at_the_attention_is_added_there(family: str) -> None:
    lm = tiny_lm(family)
    bare = logits(lm)
    vector = random_vector(layers=(2,))
    with ProjectionOutputs(lm) as outputs:
        logits(lm)
    slider = Slider((Push(vector, hook_point="attn_out"),))
    with Sliders(a=slider).attach(lm) as dial, ProjectionOutputs(lm) as steered:
        assert torch.equal(logits(lm), bare)
        steered.states.clear()
        dial.set(a=0.5)
        assert not torch.equal(logits(lm), bare)
    assert torch.equal(steered.states[2], outputs.states[2] + 0.5 * vector[2])
    assert torch.equal(steered.states[1], outputs.states[1])
    assert hook_count(lm) == 0


@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_shifting_heads_is_adding_their_projected_shift(family: str) -> None:
    lm = tiny_lm(family)
    projection = output_projection(lm.blocks[1])
    shift = torch.randn(WIDTH, generator=torch.Generator().manual_seed(0))
    handle = projection.register_forward_pre_hook(lambda _m, inputs: (inputs[0] + shift,))
    expected = logits(lm)
    handle.remove()
    directions = torch.zeros(LAYERS, WIDTH)
    directions[1] = projection_weight(projection) @ shift
    slider = Slider((Push(SteeringVector(directions), layers=(1,), hook_point="attn_out"),))
    with Sliders(a=slider).attach(lm) as dial:
        dial.set(a=1.0)
        torch.testing.assert_close(logits(lm, IDS), expected, rtol=1e-3, atol=1e-3)


def test_unknown_hook_points_and_blocks_without_attention_are_refused(lm: LanguageModel) -> None:
    with pytest.raises(SteeringError, match="no hook point 'mlp'; choose from 'resid_post', 'attn_out', 'z'"):
        record(lm, ["Hi"], hook_point="mlp")
    with pytest.raises(SteeringError, match="no hook point 'mlp' to move; choose from 'resid_post', 'attn_out'"):
        Push(random_vector(), hook_point="mlp")
    with pytest.raises(SteeringError, match="one output projection in the attention of 'Linear'"):
        output_projection(torch.nn.Linear(2, 2))
