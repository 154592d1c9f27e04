"""Files of format 1, written before a slider was a thing of its own, still load and do bit for bit the same."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from steering import LanguageModel, Slider, Sliders, SteeringError, SteeringVector
from tests.helpers.forward_passes import IDS, logits

FILES = Path(__file__).parent / "format_1"
EXPECTED = load_file(FILES / "expected.safetensors")
"""What the code of format 1 computed with these files, on the tiny Llama."""


@pytest.mark.parametrize("name", ["calibrated", "gated"])
def test_a_slider_of_format_1_computes_what_it_did(lm: LanguageModel, name: str) -> None:
    slider = Slider.load(FILES / f"{name}.safetensors", lm)
    with Sliders(a=slider).attach(lm) as dial:
        dial.set(a=1.0)
        assert torch.equal(logits(lm), EXPECTED[f"{name}.logits"])
        written = lm.model.generate(
            IDS,
            attention_mask=torch.ones_like(IDS),
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        assert torch.equal(written, EXPECTED[f"{name}.tokens"])
        dial.set(a=[0.0, 0.5, -1.0])
        assert torch.equal(logits(lm), EXPECTED[f"{name}.rows"])


@pytest.mark.parametrize("name", ["calibrated", "gated"])
def test_saved_again_it_is_of_format_2_and_the_same(lm: LanguageModel, name: str, tmp_path: Path) -> None:
    slider = Slider.load(FILES / f"{name}.safetensors")
    slider.save(tmp_path / "a.safetensors")
    again = Slider.load(tmp_path / "a.safetensors")
    assert again.summary() == slider.summary()
    again.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_what_it_was_made_of_is_under_its_new_names() -> None:
    calibrated, gated = (Slider.load(FILES / f"{name}.safetensors") for name in ("calibrated", "gated"))
    (push,) = calibrated.pushes
    assert (push.strength, push.tokens, push.layers, calibrated.range) == (0.75, "answer", (1, 2), (-0.5, 1.0))
    assert calibrated.calibration is not None
    assert [span.strength for span in calibrated.calibration.spans] == [0.75, 0.75]
    lowering, engaging, heads = gated.pushes
    assert (lowering.intervention, list(lowering.tensors)) == ("lower_projection", ["ceiling"])
    assert engaging.gate is not None
    assert (engaging.strength, engaging.gate.tokens) == (0.5, (3, 1))
    assert heads.hook_point == "attn_out"
    with pytest.raises(SteeringError, match=r"holds a slider.*Slider\.load"):
        SteeringVector.load(FILES / "gated.safetensors")


@pytest.mark.real
def test_the_shipped_sliders_write_the_same_answers(smollm2: LanguageModel) -> None:
    recorded = json.loads((FILES / "shipped.json").read_text())
    sliders = Sliders.from_pretrained(FILES / "shipped", smollm2)
    with sliders.attach(smollm2) as dial:
        for setting, answers in recorded["answers"].items():
            safety, helpfulness = json.loads(f"[{setting[1:-1]}]")
            dial.set(safety=float(safety), helpfulness=float(helpfulness))
            assert [smollm2.chat(prompt, 24) for prompt in recorded["prompts"]] == answers
