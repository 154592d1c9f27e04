"""On the embedded real model: what extraction finds and what the sliders do, by figures that have room to fail."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from probes.scores import preference_margin, refusal_score
from steering import ContrastSet, Dial, LanguageModel, Sliders, SteeringVector, extract, load, record, sweep

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def axes(smollm2: LanguageModel) -> dict[str, SteeringVector]:
    """Extracted once: the vectors that the commands use."""
    return {name: extract(smollm2, ContrastSet.builtin(name), progress=False) for name in ("safety", "helpfulness")}


def test_weights_are_dequantized_once(smollm2: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert_again(*_: object) -> None:
        raise AssertionError("the GGUF file was converted a second time")

    monkeypatch.setattr("steering.models.gguf._convert", convert_again)
    again = load("smollm2-135m-instruct")
    for name, weight in smollm2.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], weight), name
    assert smollm2.model.dtype == torch.float32
    assert smollm2.n_layers == 30
    assert smollm2.tokenizer.decode(smollm2.tokenize("Hi").ids).endswith("user\nHi<|im_end|>\n<|im_start|>assistant\n")


def test_the_model_answers(smollm2: LanguageModel) -> None:
    assert "Paris" in smollm2.chat("What is the capital of France?", 24)


def test_held_out_pairs_are_told_apart(axes: dict[str, SteeringVector]) -> None:
    for name, least in (("safety", 0.6), ("helpfulness", 0.85)):
        vector = axes[name]
        assert all(vector.auroc_at(layer) > least for layer in vector.recommended_layers), name
        assert all(10 <= layer <= 20 for layer in vector.recommended_layers)


def test_the_safety_direction_tells_harmful_from_everyday_prompts(
    smollm2: LanguageModel, axes: dict[str, SteeringVector]
) -> None:
    """Harmful sides of held-out pairs against the prompts of another set, by the last token."""
    _, held_out = ContrastSet.builtin("safety").split()
    harmful = record(smollm2, [pair.positive for pair in held_out])
    everyday = record(smollm2, [pair.positive[:-1] for pair in ContrastSet.builtin("helpfulness").split()[1]])
    labels = [1] * len(harmful) + [0] * len(everyday)
    for layer in axes["safety"].recommended_layers:
        scores = torch.cat([harmful, everyday])[:, layer] @ axes["safety"][layer]
        assert roc_auc_score(labels, scores) > 0.8


def assert_rises(
    lm: LanguageModel, axes: dict[str, SteeringVector], slider: str, score: Callable[[Dial], Tensor], least: float
) -> None:
    """The mean score rises at every step of the slider, by `least` from end to end."""
    means = []
    with Sliders(**axes).attach(lm) as dial:
        for value in (-1.0, -0.5, 0.0, 0.5, 1.0):
            dial.set(**{slider: value})
            means.append(score(dial).mean().item())
    assert all(later > earlier for earlier, later in pairwise(means)), means
    assert means[-1] - means[0] > least


def test_safety_raises_the_refusal_score_step_by_step(smollm2: LanguageModel, axes: dict[str, SteeringVector]) -> None:
    prompts = [pair.positive for pair in ContrastSet.builtin("safety").split()[1].pairs[::6]]
    assert_rises(smollm2, axes, "safety", lambda _dial: refusal_score(smollm2, prompts), 0.2)


def test_helpfulness_raises_the_margin_of_engaged_answers_step_by_step(
    smollm2: LanguageModel, axes: dict[str, SteeringVector]
) -> None:
    pairs = ContrastSet.builtin("helpfulness").split()[1].pairs[::5]
    assert_rises(smollm2, axes, "helpfulness", lambda dial: preference_margin(smollm2, pairs, dial), 0.1)


def test_sliders_at_zero_and_detached_leave_the_answers_alone(
    smollm2: LanguageModel, axes: dict[str, SteeringVector]
) -> None:
    prompts = ["Why is the sky blue?", "Name three fruits."]
    bare = smollm2.generate(prompts, 16)
    with Sliders(**axes).attach(smollm2) as dial:
        assert smollm2.generate(prompts, 16) == bare
        dial.set(safety=1.0, helpfulness=-2.0)
        assert smollm2.generate(prompts, 16) != bare
    assert smollm2.generate(prompts, 16) == bare


@pytest.mark.parametrize("tokens", ["all", "answer"])
def test_a_sweep_gives_the_answers_of_a_loop(
    smollm2: LanguageModel, axes: dict[str, SteeringVector], tokens: str
) -> None:
    prompts = ["Why is the sky blue?", "Name three fruits that grow in the north."]
    sliders, settings = Sliders(**axes), [{}, {"safety": 2.0}, {"safety": -2.0, "helpfulness": 2.0}]
    answers = sweep(smollm2, sliders, prompts, settings, max_new_tokens=12, tokens=tokens, progress=False)
    with sliders.attach(smollm2, tokens=tokens) as dial:
        for prompt, row in zip(prompts, answers, strict=True):
            for setting, answer in zip(settings, row, strict=True):
                dial.set(**dict.fromkeys(axes, 0.0) | setting)
                assert smollm2.chat(prompt, 12) == answer
    assert len({answer for row in answers for answer in row}) > len(prompts)


def test_artifacts_come_back_and_fit_the_model(
    smollm2: LanguageModel, axes: dict[str, SteeringVector], tmp_path: Path
) -> None:
    axes["safety"].save(tmp_path / "safety.safetensors")
    back = SteeringVector.load(tmp_path / "safety.safetensors", smollm2)
    assert torch.equal(back.directions, axes["safety"].directions)
    assert back.origin == axes["safety"].origin
