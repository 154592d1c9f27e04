"""Sliders attached to a wrapper, such as a PeftModel, act whichever is called; adapters that change are noticed."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from torch import nn

from steering import LanguageModel, Sliders, SteeringError, extract, record
from steering.formats.baked import to_baked
from steering.formats.peft import to_peft
from steering.models.hook_points import output_projection, projection_weight
from tests.helpers.callers import ROWS, Call, assert_right, generate, loop
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.forward_passes import IDS
from tests.helpers.slow_steering import Steering
from tests.helpers.tiny import random_vector, tiny_model, tiny_tokenizer

ANSWER = Steering("answer", gated=False)
GATED = Steering("generated", gated=True)
LORA = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "o_proj"], r=2, init_lora_weights=False)


def adapted() -> Any:
    return get_peft_model(tiny_model(), LORA).eval()


WRAPPERS: dict[str, Callable[[], nn.Module]] = {
    "PeftModel": adapted,
    "DataParallel": lambda: nn.DataParallel(tiny_model()),
    "dispatched": lambda: accelerate.dispatch_model(tiny_model(), {"": "cpu"}),
    "offloaded": lambda: accelerate.cpu_offload(tiny_model(), execution_device=torch.device("cpu")),
    "a wrapper of a wrapper": lambda: nn.DataParallel(adapted()),
}


def inner(wrapper: Any) -> Any:
    while hasattr(wrapper, "module") or hasattr(wrapper, "get_base_model"):
        wrapper = wrapper.module if hasattr(wrapper, "module") else wrapper.get_base_model()
    return wrapper


@pytest.mark.parametrize("steering", [ANSWER, GATED])
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_that_sliders_are_attached_to_is_steered_whichever_is_called(name: str, steering: Steering) -> None:
    wrapper = WRAPPERS[name]()
    model = inner(wrapper)
    with Sliders(a=steering.slider()).attach(wrapper) as dial:
        dial.set(a=1.0)
        for called in (wrapper, model):
            found = [loop(Call(model, ROWS, "left", "dynamic", 0, dial), called)]
            found += [generate(Call(called, ROWS, "left", "dynamic", 0))] if hasattr(called, "generate") else []
            for written in found:
                assert_right(model, written, steering)


@pytest.mark.parametrize("make", [adapted, lambda: nn.DataParallel(tiny_model())])
def test_a_language_model_of_a_wrapper_is_one_of_what_it_wraps(make: Callable[[], nn.Module]) -> None:
    wrapper = make()
    lm = LanguageModel(wrapper, tiny_tokenizer())  # type: ignore[arg-type]
    assert lm.model is inner(wrapper)
    assert lm.generate(["Hi"], 4) == LanguageModel(inner(wrapper), tiny_tokenizer()).generate(["Hi"], 4)


def test_a_model_without_its_tokenizer_is_not_read() -> None:
    with pytest.raises(SteeringError, match=r"found 'PeftModelForCausalLM'; wrap the model with its tokenizer"):
        extract(adapted(), prompt_pairs(20))


def test_a_wrapper_without_a_transformers_model_or_with_two_is_refused() -> None:
    sliders = Sliders(a=random_vector())
    with pytest.raises(SteeringError, match="one transformers model in 'Linear', found none"):
        sliders.attach(nn.Linear(2, 2))
    with pytest.raises(SteeringError, match="one transformers model in 'ModuleList', found '0', '1'"):
        sliders.attach(nn.ModuleList([tiny_model(), tiny_model()]))
    with pytest.raises(SteeringError, match="or a wrapper of one, found 'str'"):
        sliders.attach("gpt2")  # type: ignore[arg-type]


def test_data_parallel_on_several_devices_is_refused() -> None:
    wrapper = nn.DataParallel(tiny_model())
    wrapper.device_ids = [0, 1]
    with pytest.raises(SteeringError, match="found DataParallel on 2 devices"):
        Sliders(a=random_vector()).attach(wrapper)


@pytest.mark.parametrize("config", [PromptTuningConfig, PrefixTuningConfig])
def test_virtual_tokens_are_refused(config: Any) -> None:
    wrapper = get_peft_model(tiny_model(), config(task_type="CAUSAL_LM", num_virtual_tokens=3))
    with pytest.raises(SteeringError, match="found prompt learning 'default'"):
        Sliders(a=random_vector()).attach(wrapper)


# Adapters that change.


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.set_adapter("other"),
        lambda model: model.merge_adapter(),
        lambda model: model.merge_and_unload(),
        lambda model: model.unload(),
        lambda model: model.base_model.disable_adapter_layers(),
        lambda model: (
            model.base_model.scale_layer("default", 2.0)
            if hasattr(model.base_model, "scale_layer")
            else [part.scale_layer(2.0) for part in model.modules() if hasattr(part, "scale_layer")]
        ),
    ],
)
@torch.inference_mode()
def test_adapters_that_are_switched_or_merged_after_attaching_are_noticed(change: Callable[[Any], object]) -> None:
    model = adapted()
    model.add_adapter("other", LORA)
    with Sliders(a=random_vector()).attach(model):
        model(input_ids=IDS)
        change(model)
        with pytest.raises(
            SteeringError, match=r"adapters as they were .* 'active: default \(scaling 4\), merged: none'"
        ):
            inner(model)(input_ids=IDS)


@torch.inference_mode()
def test_an_adapter_that_comes_after_attaching_is_noticed_and_one_that_is_back_is_fine() -> None:
    model = tiny_model()
    with Sliders(a=random_vector()).attach(model), pytest.raises(SteeringError, match="PEFT adapters as they were"):
        get_peft_model(model, LORA)(input_ids=IDS)
    wrapper = adapted()
    with Sliders(a=random_vector()).attach(wrapper) as dial:
        dial.set(a=1.0)
        steered = wrapper(input_ids=IDS).logits
        with wrapper.disable_adapter(), pytest.raises(SteeringError, match="found 'active: none, merged: none'"):
            wrapper(input_ids=IDS)
        assert torch.equal(wrapper(input_ids=IDS).logits, steered)


@pytest.mark.parametrize("export", [to_baked, to_peft])
def test_a_model_with_an_adapter_is_not_exported_without_it(export: Callable[..., None], tmp_path: Path) -> None:
    lm = LanguageModel(adapted(), tiny_tokenizer())
    with pytest.raises(SteeringError, match="without PEFT adapters beside them"):
        export(Sliders(a=random_vector()).axes["a"], tmp_path / "model", lm)


def test_heads_are_read_through_an_adapter_and_its_matrix_alone_is_refused() -> None:
    model = adapted()
    lm = LanguageModel(model, tiny_tokenizer())
    merged = LanguageModel(copy.deepcopy(model).merge_and_unload(), tiny_tokenizer())
    texts = ["Hi", "What is the tide?"]
    found, expected = (record(each, texts, hook_point="z") for each in (lm, merged))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(SteeringError, match="without PEFT adapters beside them"):
        projection_weight(output_projection(lm.blocks[0]))
