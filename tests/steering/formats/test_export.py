"""An export is read by its real consumer and steers the same."""

from dataclasses import replace

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from steering import Push, Slider, Sliders, SteeringError, extract
from steering.formats.transformer_lens import forward_hooks
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.tiny import random_vector, tiny_lm, tiny_model


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "GPT2", "Gemma2"])
@torch.inference_mode()
def test_a_transformer_lens_bridge_steers_the_same(family: str) -> None:
    lm = tiny_lm(family)
    bridge = TransformerBridge.boot_transformers(f"tiny-{family}", hf_model=tiny_model(family), tokenizer=lm.tokenizer)
    ids = torch.randint(5, 270, (2, 9), generator=torch.Generator().manual_seed(0))
    sliders = Sliders(a=random_vector(1, layers=(1, 2)), b=random_vector(2, layers=(2, 3)))
    bare = lm.model(input_ids=ids).logits
    torch.testing.assert_close(bridge(ids), bare, rtol=1e-4, atol=1e-4)
    with sliders.attach(lm) as dial:
        dial.set(a=1.0, b=-0.5)
        steered = lm.model(input_ids=ids).logits
    assert (steered - bare).abs().max() > 0.1
    with bridge.hooks(fwd_hooks=forward_hooks(sliders, a=1.0, b=-0.5)):
        torch.testing.assert_close(bridge(ids), steered, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(bridge(ids), bare, rtol=1e-4, atol=1e-4)


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(SteeringError, match="no axis 'b'"):
        forward_hooks(Sliders(a=random_vector()), b=1.0)


def test_what_hooks_can_not_say_is_refused() -> None:
    push = Push(random_vector())
    for pushes in (
        (replace(push, intervention="ablate"),),
        (replace(push, tokens="generated"),),
        (push, Push(random_vector())),
    ):
        with pytest.raises(SteeringError, match="plain addition at blocks for TransformerLens"):
            forward_hooks(Sliders(a=Slider(pushes)), a=1.0)


@torch.inference_mode()
def test_sliders_and_extract_take_a_bridge() -> None:
    lm = tiny_lm()
    bridge = TransformerBridge.boot_transformers("tiny", hf_model=tiny_model(), tokenizer=lm.tokenizer)
    ids = torch.randint(5, 270, (2, 9), generator=torch.Generator().manual_seed(0))
    vector = extract(bridge, prompt_pairs(10), progress=False)
    torch.testing.assert_close(vector.directions, extract(lm, prompt_pairs(10), progress=False).directions)
    vector.check(lm.identity)
    bare = bridge(ids)
    with Sliders(a=vector).attach(bridge) as dial:
        dial.set(a=5.0)
        steered = bridge(ids)
    with Sliders(a=vector).attach(lm) as dial:
        dial.set(a=5.0)
        torch.testing.assert_close(steered, lm.model(input_ids=ids).logits, rtol=1e-4, atol=1e-4)
    assert (steered - bare).abs().max() > 0.01
    assert torch.equal(bridge(ids), bare)
    bridge.enable_compatibility_mode()
    with pytest.raises(SteeringError, match="compatibility mode"):
        Sliders(a=vector).attach(bridge)
