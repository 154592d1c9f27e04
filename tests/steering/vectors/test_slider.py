"""What a slider is made of: pushes that fit their vectors, and what may be changed about them."""

from dataclasses import replace

import pytest
import torch

from steering import LanguageModel, Push, Slider, SteeringError, SteeringVector, extract
from steering.interventions.gates import Gate
from steering.vectors.slider import as_slider
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.known_vectors import CALIBRATION, DOSE, RECOGNITION, TRIALS, slider_of
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm


def test_a_vector_becomes_the_slider_that_adds_it() -> None:
    vector = random_vector(layers=(1, 2))
    slider = as_slider(vector)
    (push,) = slider.pushes
    assert push.vector is vector
    assert (push.layers, push.strength, push.intervention) == ((1, 2), 1.0, "add")
    assert (push.hook_point, push.tokens, push.gate, push.tensors) == ("resid_post", "all", None, {})
    assert (slider.range, slider.calibration) == ((-1.0, 1.0), None)
    assert slider.only_addition("to test") is push
    assert as_slider(slider) is slider


@pytest.mark.parametrize(
    "push",
    [
        Push(random_vector(), intervention="ablate"),
        Push(random_vector(), hook_point="attn_out"),
        Push(random_vector(), tokens="generated"),
        Push(random_vector(), gate=Gate(0, torch.ones(WIDTH))),
    ],
)
def test_what_does_more_than_add_is_no_plain_addition(push: Push) -> None:
    for pushes in ((push,), (Push(random_vector()), push)):
        with pytest.raises(SteeringError, match="Expected a plain addition at blocks to export; 'unnamed' does"):
            Slider(pushes).only_addition("to export")


def test_two_additions_are_no_single_addition() -> None:
    with pytest.raises(SteeringError, match="plain addition at blocks to export"):
        Slider((Push(random_vector(1)), Push(random_vector(2)))).only_addition("to export")


def test_scaling_and_tokens_reach_every_push() -> None:
    slider = Slider((Push(random_vector(1), strength=0.5), Push(random_vector(2), tokens="prompt")), range=(0.0, 2.0))
    scaled = slider.scaled(3.0)
    assert [push.strength for push in scaled.pushes] == [1.5, 3.0]
    assert [push.vector for push in scaled.pushes] == [push.vector for push in slider.pushes]
    assert scaled.range == slider.range
    assert [push.tokens for push in slider.on_tokens("answer").pushes] == ["answer", "answer"]
    assert slider.on_tokens(None) is slider
    with pytest.raises(SteeringError, match="'nowhere'"):
        slider.on_tokens("nowhere")


def test_other_vectors_lose_what_was_calibrated_with_these() -> None:
    push = Push(random_vector(), strength=0.5, tokens="prompt")
    slider = Slider((push,), (0.0, 2.0), CALIBRATION, DOSE, TRIALS, RECOGNITION)
    changed = slider.along(lambda vector: 2.0 * vector)
    (push,) = changed.pushes
    assert torch.equal(push.vector.directions, 2.0 * random_vector().directions)
    assert (push.strength, push.tokens, changed.range, changed.calibration) == (0.5, "prompt", (0.0, 2.0), None)
    for unmeasured in (changed, slider.at_layers([3])):
        assert (unmeasured.calibration, unmeasured.dose, unmeasured.trials) == (None, None, ())
        assert unmeasured.recognition == ()
    stronger = slider.scaled(2.0)
    assert (stronger.calibration, stronger.dose, stronger.trials) == (CALIBRATION, DOSE, TRIALS)
    assert stronger.recognition == RECOGNITION


def test_every_vector_has_to_belong_to_the_model(lm: LanguageModel) -> None:
    vector = extract(lm, prompt_pairs(10), progress=False)
    slider = Slider((Push(random_vector()), Push(vector)))
    slider.check(lm.identity)
    other = tiny_lm(seed=1)
    with pytest.raises(SteeringError, match="made with weights"):
        slider.check(other.identity)
    slider.check(other.identity, allow_mismatch=["weights"])
    with pytest.raises(SteeringError, match="layers up to 5"):
        Slider((Push(vector), Push(SteeringVector(torch.ones(6, WIDTH))))).check(lm.identity)


def test_the_summary_says_what_each_push_does_and_how_the_range_was_found(lm: LanguageModel) -> None:
    vector = extract(lm, prompt_pairs(10), progress=False)
    gate = Gate(0, torch.ones(2, WIDTH), curve="probability", tokens=(3, 1))
    second = Push(
        random_vector(), layers=(2,), intervention="ablate", hook_point="attn_out", tokens="answer", gate=gate
    )
    slider = Slider((Push(vector, layers=(1, 3), strength=0.5), second), (-0.5, 2.0), CALIBRATION)
    lines = slider.summary().text.splitlines()
    assert lines[0].startswith("toy: layers 0-3 of width 32")
    assert "range: -0.5 to 2, calibrated" in lines
    assert "push: add at resid_post of layers 1, 3, strength 0.5, tokens all" in lines
    assert (
        "push: ablate at attn_out of layers 2, strength 1, tokens answer, gate 'probability' read at layer 0" in lines
    )
    assert any(line.startswith("calibrated: 'refusal' on 8 prompts, KL at most 0.1 nats") for line in lines)
    assert "range: -0.5 to 2, plain default" in replace(slider, calibration=None).summary().text
    assert slider.summary().interventions == "add and ablate (gated)"
    assert slider.summary().layers == (1, 2, 3)
    assert (slider.summary().is_gated, as_slider(vector).summary().is_gated) == (True, False)
    assert slider.title == "toy"
    assert slider.origin == vector.origin


def test_the_summary_says_what_was_measured_and_tried() -> None:
    slider = replace(slider_of(random_vector()), dose=DOSE, trials=TRIALS, recognition=RECOGNITION)
    lines = slider.summary().text.splitlines()
    outcome = "share of harmful prompts whose answer begins as refusals do, 64 prompts"
    assert lines[-4:] == [
        f"dose: -1 -> -0.20, 0.25 -> 0.30, 1 -> 0.70 ({outcome})",
        "tried: 2 pushes, taken: add at layers 1-2 x 2",
        "gate on own, before prompts: 21 of 30 harmful seen, 9 of 40 harmless taken for harmful",
        "gate on own prompts: 28 of 30 harmful seen, 4 of 40 harmless taken for harmful",
    ]


@pytest.mark.parametrize(
    ("reads", "curve", "told"),
    [
        ("score", "step", ""),
        ("harm", "step", ", acts where harm > 0.62"),
        ("harmlessness", "step", ", acts where harm < 0.38"),
        ("harm", "probability", ""),
    ],
)
def test_the_summary_says_for_which_prompts_a_push_acts(reads: str, curve: str, told: str) -> None:
    gate = Gate(0, torch.ones(WIDTH), curve=curve, reads=reads, threshold=0.5)
    assert Push(random_vector(), gate=gate).summary().text.endswith(f"gate {curve!r} read at layer 0{told}")
