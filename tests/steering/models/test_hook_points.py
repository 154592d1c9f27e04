"""Activations are read where TransformerLens' names say, in every family, and hooks come off by themselves."""

import pytest
import torch
from torch import Tensor, nn

from steering import record
from steering.models.hook_points import output_projection, projection_weight, reading_hook, temporary_hooks
from tests.helpers.forward_passes import hook_count, logits
from tests.helpers.tiny import FAMILIES, tiny_lm

PROMPT = "Break the lock"


@pytest.mark.parametrize("family", FAMILIES)
def test_attn_out_is_what_the_output_projection_makes_of_z(family: str) -> None:
    lm = tiny_lm(family)
    z, attn_out = (record(lm, [PROMPT], hook_point=hook_point)[0] for hook_point in ("z", "attn_out"))
    for layer, block in enumerate(lm.blocks):
        projection = output_projection(block)
        bias = 0.0 if projection.bias is None else projection.bias
        expected = projection_weight(projection) @ z[layer] + bias
        torch.testing.assert_close(attn_out[layer], expected.detach(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_attn_out_is_what_the_output_projection_returns(family: str) -> None:
    lm = tiny_lm(family)
    returned: list[Tensor] = []
    with temporary_hooks((output_projection(block), lambda _m, _i, out: returned.append(out)) for block in lm.blocks):
        logits(lm, torch.tensor([lm.tokenize(PROMPT).ids]))
    found = record(lm, [PROMPT], hook_point="attn_out")[0]
    torch.testing.assert_close(found, torch.stack([out[0, -1] for out in returned]), rtol=1e-4, atol=1e-5)


def test_hooks_come_off_when_a_pass_fails() -> None:
    lm = tiny_lm()

    def fail(_activations: Tensor) -> None:
        raise RuntimeError("full")

    hooks = [reading_hook(block, "resid_post", fail) for block in lm.blocks]
    with pytest.raises(RuntimeError, match="full"), temporary_hooks(hooks):
        logits(lm)
    assert hook_count(lm) == 0


def test_a_hook_that_reads_changes_nothing() -> None:
    module, seen = nn.Linear(2, 2), []
    inputs = torch.ones(1, 1, 2)
    expected = module(inputs)
    with temporary_hooks([reading_hook(module, "resid_post", lambda activations: seen.append(activations) or 7)]):
        assert torch.equal(module(inputs), expected)
    assert torch.equal(seen[0], expected)
