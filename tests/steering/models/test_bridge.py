"""`lm.bridge()`: TransformerLens' bridge of the loaded model, steered with it."""

import copy
import sys

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from steering import Sliders, SteeringError, patching_profile
from steering.explore.logit_lens import logit_differences
from steering.formats.transformer_lens import forward_hooks
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.forward_passes import IDS, logits
from tests.helpers.tiny import FAMILIES, random_vector, tiny_lm, tiny_model


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_its_logits_are_the_models_own(family: str) -> None:
    lm = tiny_lm(family)
    before, text = logits(lm), lm.chat("Hi", 8)
    bridge = lm.bridge()
    torch.testing.assert_close(bridge(IDS), before, rtol=1e-5, atol=1e-5)
    assert torch.equal(logits(lm), bridge(IDS))
    assert lm.chat("Hi", 8) == text


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "GPT2"])
def test_it_wraps_the_very_model_with_its_weights_as_they_are(family: str) -> None:
    lm = tiny_lm(family)
    weights = {weight.data_ptr(): weight.clone() for weight in lm.model.parameters()}
    identity = tiny_lm(family).identity
    bridge = lm.bridge()
    assert isinstance(bridge, TransformerBridge)
    assert bridge.original_model is lm.model
    assert not bridge.compatibility_mode
    kept = {weight.data_ptr(): weight for weight in bridge.parameters()}
    assert all(torch.equal(kept[place], weight) for place, weight in weights.items())
    assert lm.identity == identity
    assert lm.bridge() is bridge


def test_it_knows_the_models_dtype() -> None:
    lm = tiny_lm()
    lm.model.bfloat16()
    assert lm.bridge().cfg.dtype == torch.bfloat16


def test_its_tokenizer_is_a_copy() -> None:
    lm = tiny_lm()
    before = copy.deepcopy(lm.tokenizer.special_tokens_map)
    bridge = lm.bridge()
    assert bridge.tokenizer.get_vocab() == lm.tokenizer.get_vocab()
    assert bridge.to_tokens("Hi", prepend_bos=False).tolist() == [lm.tokenizer("Hi").input_ids]
    assert lm.tokenizer.special_tokens_map == before


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "GPT2", "Gemma2"])
@torch.inference_mode()
def test_sliders_on_the_model_steer_the_bridge_as_those_on_the_bridge_and_its_own_hooks_do(family: str) -> None:
    sliders = Sliders(a=random_vector(1, layers=(1, 2)), b=random_vector(2, layers=(2, 3)))
    setting = {"a": 1.0, "b": -0.5}
    plain = tiny_lm(family)
    with sliders.attach(plain) as dial:
        dial.set(**setting)
        expected = logits(plain)
    lm = tiny_lm(family)
    bridge = lm.bridge()
    bare = bridge(IDS)
    assert (expected - bare).abs().max() > 0.1
    with sliders.attach(lm) as dial:
        dial.set(**setting)
        torch.testing.assert_close(bridge(IDS), expected, rtol=1e-4, atol=1e-4)
    with sliders.attach(bridge) as dial:
        dial.set(**setting)
        torch.testing.assert_close(bridge(IDS), expected, rtol=1e-4, atol=1e-4)
    with bridge.hooks(fwd_hooks=forward_hooks(sliders, **setting)):
        torch.testing.assert_close(bridge(IDS), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(bridge(IDS), bare)


@torch.inference_mode()
def test_the_bridges_cache_shows_what_the_models_sliders_add() -> None:
    lm, vector = tiny_lm(), random_vector(layers=(2,))
    bridge = lm.bridge()
    _, before = bridge.run_with_cache(IDS)
    with Sliders(a=vector).attach(lm) as dial:
        dial.set(a=1.0)
        _, after = bridge.run_with_cache(IDS)
    assert torch.equal(after["blocks.1.hook_resid_post"], before["blocks.1.hook_resid_post"])
    added = after["blocks.2.hook_resid_post"] - before["blocks.2.hook_resid_post"]
    torch.testing.assert_close(added, vector[2].expand_as(added), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bridged_model_is_looked_into_as_before(family: str) -> None:
    plain, lm = tiny_lm(family), tiny_lm(family)
    lm.bridge()
    directions = random_vector().directions
    torch.testing.assert_close(logit_differences(lm, directions), logit_differences(plain, directions))
    before, after = (patching_profile(each, prompt_pairs(2), progress=False) for each in (plain, lm))
    assert after.patched == pytest.approx(before.patched, rel=1e-4)


def test_without_transformer_lens_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformer_lens.model_bridge.sources", None)
    with pytest.raises(SteeringError, match=r"pip install 'trimtab\[lens\]'"):
        tiny_lm().bridge()


def test_an_architecture_that_it_does_not_know_is_refused_and_left_as_it_was() -> None:
    lm = tiny_lm()
    lm.model.__class__ = type("OddForCausalLM", (type(lm.model),), {})
    with pytest.raises(SteeringError, match="no bridge for 'OddForCausalLM'"):
        lm.bridge()
    assert lm.model.config._attn_implementation == tiny_model().config._attn_implementation
