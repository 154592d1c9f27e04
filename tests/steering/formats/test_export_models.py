"""Models with sliders in their weights do what the hooks do, as transformers loads them, or are refused."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from steering import LanguageModel, Push, Slider, Sliders, SteeringError, SteeringVector, load
from steering.formats import MODEL_EXPORTS, Exportable, FixedSliders
from steering.formats.baked import to_baked
from steering.formats.orthogonalized import to_orthogonalized
from steering.formats.peft import to_peft
from steering.hooks.dial import attach
from steering.interventions.ablate import ablate
from steering.models.hook_points import output_projection
from tests.helpers.known_vectors import of_model
from tests.helpers.tiny import LAYERS, WIDTH, random_vector, save_folder, tiny_lm

IDS = torch.randint(5, 270, (2, 30), generator=torch.Generator().manual_seed(3))


@pytest.fixture
def fixed() -> FixedSliders:
    return FixedSliders(Sliders(a=random_vector(1, (0, 1, 2)), b=random_vector(2, (2, 3))), {"a": 1.0, "b": -0.5})


@torch.inference_mode()
def steered(lm: LanguageModel, fixed: FixedSliders) -> Tensor:
    with attach(fixed.sliders, lm) as dial:
        dial.set(**fixed.values)
        return lm.model(input_ids=IDS).logits


def loaded(folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "Mistral", "GPT2", "GPTNeoX", "Opt", "Phi", "Bloom"])
@torch.inference_mode()
def test_a_baked_model_gives_the_logits_of_the_hooks(family: str, fixed: FixedSliders, tmp_path: Path) -> None:
    lm = tiny_lm(family)
    before = {name: weight.clone() for name, weight in lm.model.state_dict().items()}
    to_baked(fixed, tmp_path / "baked", lm)
    expected = steered(lm, fixed)
    torch.testing.assert_close(loaded(tmp_path / "baked")(input_ids=IDS).logits, expected, rtol=1e-5, atol=1e-5)
    assert (expected - lm.model(input_ids=IDS).logits).abs().max() > 0.1
    assert all(torch.equal(weight, before[name]) for name, weight in lm.model.state_dict().items())
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_a_baked_model_generates_as_the_steered_one(fixed: FixedSliders, tmp_path: Path) -> None:
    lm = tiny_lm("Qwen2")
    to_baked(fixed, tmp_path / "baked", lm)
    with attach(fixed.sliders, lm) as dial:
        dial.set(**fixed.values)
        expected = lm.generate(["one", "a longer one"], max_new_tokens=12)
    baked = LanguageModel(loaded(tmp_path / "baked"), lm.tokenizer)
    assert baked.generate(["one", "a longer one"], max_new_tokens=12) == expected


def test_a_half_precision_model_is_baked_in_its_own_dtype(fixed: FixedSliders, tmp_path: Path) -> None:
    lm = load(save_folder(tiny_lm()), dtype="bfloat16")
    to_baked(fixed, tmp_path / "baked", lm)
    weights = load_file(tmp_path / "baked" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    push = fixed.additions("a test")[2].to(torch.bfloat16)
    assert torch.equal(weights["model.layers.2.mlp.down_proj.bias"], push)


@pytest.mark.parametrize("family", ["Gemma2", "Gemma3", "Olmo2", "Qwen3Moe", "Mixtral"])
@pytest.mark.parametrize("name", ["baked", "peft"])
def test_a_model_whose_weights_can_not_hold_a_slider_is_refused(
    family: str, name: str, fixed: FixedSliders, tmp_path: Path
) -> None:
    with pytest.raises(SteeringError, match="use hooks"):
        MODEL_EXPORTS[name](fixed, tmp_path / "x", tiny_lm(family))
    assert not list(tmp_path.iterdir())


def test_a_norm_behind_a_bias_is_found_by_the_logits(
    fixed: FixedSliders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_lm()
    gain = torch.linspace(0.5, 2.0, WIDTH)
    lm.blocks[1].register_forward_hook(lambda _module, _inputs, output: output * gain)
    with pytest.raises(SteeringError, match="baked logits differ from those of the hooks by"):
        to_baked(fixed, tmp_path / "x", lm)
    assert not list(tmp_path.iterdir())


def test_a_sliding_window_is_refused(fixed: FixedSliders, tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match="sliding window, found one of 16 tokens"):
        to_baked(fixed, tmp_path / "x", tiny_lm("Mistral", sliding_window=16))


@pytest.mark.parametrize("name", list(MODEL_EXPORTS))
def test_vectors_of_another_model_are_refused(name: str, tmp_path: Path) -> None:
    other = of_model(random_vector(), tiny_lm(seed=1).identity)
    with pytest.raises(SteeringError, match="doesn't belong here"):
        MODEL_EXPORTS[name](other, tmp_path / "x", tiny_lm())
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_left_alone(fixed: FixedSliders, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SteeringError, match="isn't an empty folder"):
        to_baked(fixed, tmp_path, tiny_lm())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_peft_adapter_holds_zero_matrices_and_the_pushes_as_biases(fixed: FixedSliders, tmp_path: Path) -> None:
    to_peft(fixed, tmp_path / "adapter", tiny_lm("Qwen3"))
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    additions = fixed.additions("a test")
    assert len(weights) == 3 * len(additions)
    for name, weight in weights.items():
        layer = int(name.split(".layers.")[1].split(".")[0])
        torch.testing.assert_close(weight, additions[layer] if name.endswith("bias") else weight * 0, rtol=0, atol=0)


# ----------------------------------------------------------------------------------------------- orthogonalized


def ablation(seed: int = 5, **options: Any) -> Slider:
    direction = torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
    return Slider((Push(SteeringVector(direction.expand(LAYERS, WIDTH)), intervention="ablate", **options),))


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "Mistral", "GPT2", "Phi", "Cohere"])
@torch.inference_mode()
def test_orthogonalized_weights_do_what_ablating_every_write_does(family: str, tmp_path: Path) -> None:
    lm = tiny_lm(family, **({"tie_word_embeddings": True} if family in ("Llama", "Qwen2") else {}))
    slider = ablation()
    direction = slider.pushes[0].vector[0]
    to_orthogonalized(slider, tmp_path / "x", lm)

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return ablate(output, direction, torch.ones(1, 1, 1))

    embeddings = [m for m in lm.model.modules() if isinstance(m, nn.Embedding)]
    writers = embeddings + [output_projection(block) for block in lm.blocks]
    with ExitStack() as stack, Sliders(x=slider).attach(lm) as dial:
        for module in writers:
            stack.callback(module.register_forward_hook(hook).remove)
        dial.set(x=1.0)
        expected = lm.model(input_ids=IDS).logits
    torch.testing.assert_close(loaded(tmp_path / "x")(input_ids=IDS).logits, expected, rtol=1e-5, atol=2e-5)


def test_a_refusal_direction_recipe_is_orthogonalized_at_minus_one(tmp_path: Path) -> None:
    main = random_vector(1, (2,))
    everywhere = SteeringVector(main[2].expand_as(main.directions))
    addition = Push(main, intervention="add_above")
    sliders = Sliders(safety=Slider((addition, Push(everywhere, strength=-1.0, intervention="ablate"))))
    to_orthogonalized(FixedSliders(sliders, {"safety": -1.0}), tmp_path / "x", tiny_lm())
    with pytest.raises(SteeringError, match="found add_above at"):
        to_orthogonalized(FixedSliders(sliders, {"safety": 1.0}), tmp_path / "y", tiny_lm())


def test_what_weights_can_not_ablate_is_refused(tmp_path: Path) -> None:
    lm = tiny_lm()
    several = Slider((Push(SteeringVector(random_vector().directions), intervention="ablate"),))
    cases: list[tuple[Exportable, str]] = [
        (ablation(layers=(1, 2)), "found ablate at resid_post of layers 1-2,"),
        (ablation(tokens="generated"), "tokens generated"),
        (FixedSliders(Sliders(a=ablation()), {"a": 0.5}), "strength 0.5"),
        (FixedSliders(Sliders(a=ablation(), b=ablation(6)), {"a": 1.0, "b": 1.0}), "one ablation, found 2"),
        (several, "one direction for all blocks"),
        (random_vector(), "found add at"),
        (FixedSliders(Sliders(a=ablation()), {"a": -1.0}), "one ablation, found 0"),
    ]
    for exportable, message in cases:
        with pytest.raises(SteeringError, match=message):
            to_orthogonalized(exportable, tmp_path / "x", lm)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("family", ["Gemma2", "Gemma3"])
def test_a_norm_behind_the_matrices_is_found_by_what_is_left(family: str, tmp_path: Path) -> None:
    lm = tiny_lm(family)
    spread: Callable[[Tensor], Tensor] = lambda weight: torch.linspace(-0.5, 1.0, len(weight))  # noqa: E731
    for name, parameter in lm.model.named_parameters():
        if "feedforward_layernorm" in name:
            parameter.data = spread(parameter)
    with pytest.raises(SteeringError, match="still points along the direction"):
        to_orthogonalized(ablation(), tmp_path / "x", lm)
    assert not list(tmp_path.iterdir())
