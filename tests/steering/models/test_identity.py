"""What is recorded of a model apart from the print of its weights: packing, adapters, and files of before."""

import warnings
from pathlib import Path

import peft
import pytest
import torch
from torch import Tensor, nn

from steering import LanguageModel, Sliders, SteeringError, SteeringVector, extract
from steering.models.identity import ModelIdentity, mismatches
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.known_vectors import of_model
from tests.helpers.tiny import random_vector, tiny_lm, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def vector() -> SteeringVector:
    return extract(tiny_lm(), prompt_pairs(10), progress=False)


def _with_adapter(seed: int = 0, alpha: int = 8, name: str = "default", **options: object) -> LanguageModel:
    """The tiny model with a LoRA inside that does something."""
    config = peft.LoraConfig(r=2, lora_alpha=alpha, target_modules=["q_proj", "v_proj"], **options)
    wrapper = peft.get_peft_model(tiny_model(), config, adapter_name=name)
    torch.manual_seed(seed)
    for parameter_name, parameter in wrapper.named_parameters():
        if "lora_B" in parameter_name:
            nn.init.normal_(parameter, std=0.1)
    return LanguageModel(wrapper.get_base_model(), tiny_tokenizer(), name="tiny-Llama")


def test_an_adapter_is_apart_from_the_weights_beneath_it(vector: SteeringVector) -> None:
    lm, bare = _with_adapter(), tiny_lm()
    assert lm.identity.weights == bare.identity.weights
    assert bare.identity.adapters == ()
    (adapter,) = lm.identity.adapters
    assert (adapter.name, adapter.scaling) == ("default", (4.0,))
    assert list(mismatches(bare.identity, lm.identity)) == ["adapters"]
    with pytest.raises(
        SteeringError, match=r"made with adapters 'none' .* found 'default scaled by 4 with weights \w+'"
    ):
        Sliders(a=vector).attach(lm)
    Sliders(a=vector).attach(lm, allow_mismatch=["adapters"]).detach()


def test_an_adapter_matches_itself_under_any_name_and_dtype_and_no_other() -> None:
    first, renamed = _with_adapter(name="one"), _with_adapter(name="other")
    renamed.model.bfloat16()
    torch.manual_seed(0)
    assert not mismatches(first.identity, renamed.identity)
    assert mismatches(first.identity, _with_adapter(seed=7, name="one").identity)
    assert mismatches(first.identity, _with_adapter(alpha=9, name="one").identity)


def test_an_adapter_switched_off_or_merged_is_no_adapter() -> None:
    lm, bare = _with_adapter(), tiny_lm()
    with_adapter = lm.identity
    layers = [module for module in lm.model.modules() if isinstance(module, peft.tuners.lora.LoraLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    assert not mismatches(bare.identity, lm.identity)
    for layer in layers:
        layer.enable_adapters(True)
    assert lm.identity == with_adapter
    for layer in layers:
        layer.merge()
    assert lm.identity.adapters == ()
    assert list(mismatches(bare.identity, lm.identity)) == ["weights"]


def test_modules_that_an_adapter_brings_along_are_the_adapters() -> None:
    lm = _with_adapter(modules_to_save=["lm_head"])
    assert lm.identity.weights == tiny_lm().identity.weights
    before = lm.identity
    fresh = _with_adapter(modules_to_save=["lm_head"])
    with torch.no_grad():
        fresh.model.lm_head.modules_to_save["default"].weight.neg_()
    assert list(mismatches(before, fresh.identity)) == ["adapters"]


class _Packed(Tensor):
    """Made of others, as quantizers' tensors are; it computes nothing."""

    @staticmethod
    def __new__(cls, data: Tensor, scale: Tensor) -> "_Packed":
        return Tensor._make_wrapper_subclass(cls, data.shape, dtype=torch.float32)

    def __init__(self, data: Tensor, scale: Tensor) -> None:
        self.data_held, self.scale = data, scale

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["data_held", "scale"], None

    @classmethod
    def __torch_dispatch__(cls, function: object, *_: object, **__: object) -> Tensor:
        if function is torch.ops.aten.detach.default:
            return _[1][0]
        raise NotImplementedError(f"{function} of packed weights")


def _packed(step: float) -> LanguageModel:
    lm = tiny_lm()
    for linear in [module for module in lm.blocks.modules() if isinstance(module, nn.Linear)]:
        data = (linear.weight.detach() / step).round().to(torch.int8)
        linear.weight = nn.Parameter(_Packed(data, torch.tensor([step])), requires_grad=False)
    return lm


def _float8() -> LanguageModel:
    lm = tiny_lm()
    down = lm.model.model.layers[1].mlp.down_proj
    down.weight = nn.Parameter(down.weight.detach().to(torch.float8_e4m3fn), requires_grad=False)
    return lm


def _in_integer_buffers(seed: int = 0) -> LanguageModel:
    """As GPTQ and AWQ hold them."""
    lm, model = tiny_lm(), tiny_model(seed=seed)
    for block, other in zip(lm.blocks, model.model.layers, strict=True):
        del block.mlp.down_proj.weight
        block.mlp.down_proj.register_buffer("qweight", (other.mlp.down_proj.weight / 0.05).round().int())
    lm.model.config.quantization_config = {"quant_method": "gptq", "bits": 4}
    return lm


@pytest.mark.parametrize(
    ("quantized", "kind"),
    [(lambda: _packed(0.01), "_Packed"), (_float8, "torch.float8_e4m3fn"), (_in_integer_buffers, "gptq 4 bits")],
)
def test_packed_weights_have_a_print_and_a_named_allowance(
    quantized: object, kind: str, vector: SteeringVector
) -> None:
    lm, again, bare = quantized(), quantized(), tiny_lm()
    assert lm.identity.weights == again.identity.weights
    assert lm.identity.weights is not None
    assert lm.identity.quantization.startswith(kind)
    assert bare.identity.quantization == "none"
    assert list(mismatches(bare.identity, lm.identity)) == ["quantization"]
    with pytest.raises(
        SteeringError, match=rf"quantization 'none' .* found '{kind}.*allow_mismatch=\['quantization'\]"
    ):
        Sliders(a=vector).attach(lm)
    Sliders(a=vector).attach(lm, allow_mismatch=["quantization"]).detach()


def test_another_model_quantized_alike_is_another_model() -> None:
    assert list(mismatches(_packed(0.01).identity, _packed(0.02).identity)) == ["weights"]
    one, other = _in_integer_buffers().identity, _in_integer_buffers(seed=1).identity
    assert list(mismatches(one, other)) == ["weights"]


def test_a_quantization_that_left_the_weights_as_they_are_is_none() -> None:
    lm = tiny_lm()
    lm.model.config.dequantized_from = "gguf"  # of float32 weights
    assert lm.identity.quantization == "gguf"
    assert not mismatches(tiny_lm().identity, lm.identity)


def test_a_record_of_before_is_compared_by_what_it_says_and_with_a_note(tmp_path: Path) -> None:
    now = tiny_lm().identity
    content = now.model_dump(mode="json") | {"weights": now.former_weights}
    for key in ("former_weights", "quantization", "adapters"):
        del content[key]
    former = ModelIdentity.model_validate(content)
    assert (former.weights, former.former_weights) == (None, now.former_weights)
    assert not mismatches(former, now)
    assert list(mismatches(former, tiny_lm(seed=1).identity)) == ["weights"]
    assert list(mismatches(former, _packed(0.01).identity)) == ["quantization"]
    assert list(mismatches(former, _with_adapter().identity)) == ["adapters"]
    of_model(random_vector(), former).save(tmp_path / "v.safetensors")
    with pytest.warns(UserWarning, match="two matrices of its model's weights only"):
        SteeringVector.load(tmp_path / "v.safetensors", tiny_lm())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of_model(random_vector(), now).check(now)


def test_the_key_of_caches_is_the_same_in_every_dtype() -> None:
    keys = set()
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        lm = _with_adapter()
        lm.model.to(dtype)
        keys.add(lm.identity.key)
    assert len(keys) == 1
    assert tiny_lm().identity.key not in keys


@pytest.mark.parametrize("family", ["Llama", "GPT2", "Phi3", "GPTNeoX", "Bloom"])
def test_a_bridged_model_is_the_same_model(family: str) -> None:
    lm = tiny_lm(family)
    before = lm.identity
    bridge = lm.bridge()
    again = LanguageModel(bridge.original_model, tiny_tokenizer(), name=lm.name)
    assert not mismatches(before, again.identity)
    assert again.identity.weights == before.weights
