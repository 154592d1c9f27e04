"""The print of weights: the same in every dtype and order, another after every edit of this field."""

import itertools
from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import PreTrainedModel

from steering import LanguageModel
from steering.models.weights_print import SIGNS_PER_TENSOR, WeightsPrint, own_tensors, weights_print
from tests.helpers.tiny import FAMILIES, tiny_lm, tiny_model

SIZES: dict[str, int] = {"hidden_size": 128, "intermediate_size": 384}


def print_of(model: PreTrainedModel) -> WeightsPrint:
    seen: set[int] = set()
    found = weights_print(list(own_tensors(part, seen)) for part in (*model.model.layers, model))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def original() -> WeightsPrint:
    return print_of(tiny_model(**SIZES))


@pytest.mark.parametrize("dtypes", list(itertools.permutations([torch.float32, torch.bfloat16, torch.float16], 2)))
def test_rounding_to_another_dtype_is_no_edit(dtypes: tuple[torch.dtype, torch.dtype]) -> None:
    first, second = (print_of(tiny_model(**SIZES).to(dtype)) for dtype in dtypes)
    assert first.matches(second)
    assert second.matches(first)


def test_weights_too_small_for_float16_are_no_edit() -> None:
    model = tiny_model(**SIZES)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight *= 1e-6
        model.model.layers[1].input_layernorm.weight *= 1e-7
    assert print_of(model).matches(print_of(model.half()))


def test_the_order_of_parameters_and_the_names_are_of_no_matter(original: WeightsPrint) -> None:
    model = tiny_model(**SIZES)
    for block in model.model.layers:
        block._modules = dict(reversed(block._modules.items()))
        block._modules["attention"] = block._modules.pop("self_attn")
    assert print_of(model) == original


def test_the_order_of_the_blocks_is(original: WeightsPrint) -> None:
    model = tiny_model(**SIZES)
    layers = model.model.layers
    layers[1], layers[2] = layers[2], layers[1]
    assert not print_of(model).matches(original)


def test_tied_weights_count_once_and_buffers_not() -> None:
    tied = tiny_model(tie_word_embeddings=True, **SIZES)
    before = print_of(tied)
    tied.model.rotary_emb.inv_freq.mul_(2)
    assert print_of(tied) == before
    untied = tiny_model(tie_word_embeddings=True, **SIZES)
    untied.lm_head.weight = nn.Parameter(untied.lm_head.weight.detach().clone())
    assert len(untied.state_dict()) == len(tied.state_dict())
    assert not print_of(untied).matches(before)


def _unit(width: int) -> Tensor:
    return nn.functional.normalize(torch.randn(width, generator=torch.Generator().manual_seed(3)), dim=0)


def _without_direction(*blocks: int) -> Callable[[PreTrainedModel], None]:
    def edit(model: PreTrainedModel) -> None:
        unit = _unit(model.config.hidden_size)
        for block in (model.model.layers[number] for number in blocks):
            for weight in (block.self_attn.o_proj.weight, block.mlp.down_proj.weight):
                weight -= torch.outer(unit, unit @ weight)

    return edit


def _noise(name: str, share: float) -> Callable[[PreTrainedModel], None]:
    def edit(model: PreTrainedModel) -> None:
        weight = model.get_parameter(name)
        weight += share * weight.std() * torch.randn_like(weight)

    return edit


def _lora(model: PreTrainedModel) -> None:
    for block in model.model.layers:
        for weight in (block.self_attn.q_proj.weight, block.self_attn.v_proj.weight):
            low_rank = torch.randn(len(weight), 2) @ torch.randn(2, weight.shape[1])
            weight += 0.005 * weight.norm() * low_rank / low_rank.norm()


def _embeddings(model: PreTrainedModel) -> None:
    unit = _unit(model.config.hidden_size)
    weight = model.get_input_embeddings().weight
    weight -= torch.outer(weight @ unit, unit)


def _rows(model: PreTrainedModel) -> None:
    model.get_input_embeddings().weight[5:7] = 0.15 * torch.randn(2, model.config.hidden_size)


def _scaled(name: str, factor: float) -> Callable[[PreTrainedModel], None]:
    def edit(model: PreTrainedModel) -> None:
        model.get_parameter(name).mul_(factor)

    return edit


def _norm(model: PreTrainedModel) -> None:
    model.model.norm.weight += 0.02 * torch.randn(model.config.hidden_size)


def _head(model: PreTrainedModel) -> None:
    model.model.layers[2].self_attn.o_proj.weight[:, :32] = 0


MATRICES = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
MATRICES += ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
EDITS = {
    "abliterated": _without_direction(0, 1, 2, 3),
    "one block abliterated": _without_direction(3),
    "a small LoRA merged": _lora,
    "a direction taken off the embeddings": _embeddings,
    "two rows of the embeddings": _rows,
    "a head switched off": _head,
    "a norm scaled": _scaled("model.layers.2.input_layernorm.weight", 1.01),
    "the last norm scaled": _scaled("model.norm.weight", 0.99),
    "noise in a norm": _norm,
    "a matrix scaled": _scaled("model.layers.0.mlp.up_proj.weight", 1.01),
    "noise in the head": _noise("lm_head.weight", 0.01),
    **{f"noise in {name}": _noise(f"model.layers.1.{name}.weight", 0.01) for name in MATRICES},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("edit", EDITS)
@torch.no_grad()
def test_an_edit_is_seen_in_every_dtype(edit: str, dtype: torch.dtype, original: WeightsPrint) -> None:
    torch.manual_seed(0)
    model = tiny_model(**SIZES)
    torch.manual_seed(1)
    EDITS[edit](model)
    found = print_of(model.to(dtype))
    assert not original.matches(found)
    assert not found.matches(original)
    assert str(found) != str(original)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_every_tensor_of_every_family_counts(family: str) -> None:
    lm = tiny_lm(family)
    lm.model.bfloat16()

    def found() -> WeightsPrint | None:
        seen: set[int] = set()
        return weights_print(list(own_tensors(part, seen)) for part in (*lm.blocks, lm.model))

    before = found()
    for name, parameter in lm.model.named_parameters():
        kept = parameter.clone()
        parameter.add_(0.1 * torch.randn_like(parameter) * parameter.abs().mean().clamp_min(0.01))
        assert not found().matches(before), name
        parameter.copy_(kept)
    assert found() == before


def test_a_sample_goes_through_all_columns() -> None:
    matrix = torch.ones(1024, 4 * SIGNS_PER_TENSOR // 1024)
    for column in range(0, matrix.shape[1], 7):
        other = matrix.clone()
        other[:, column] = -1
        assert not weights_print([[matrix]]).matches(weights_print([[other]]))


def test_weights_that_are_elsewhere_give_none() -> None:
    with torch.device("meta"):
        assert weights_print([[torch.ones(3)]]) is None


@pytest.mark.parametrize("sizes", ["not base64", "AAAA", "AA=="])
def test_a_hostile_print_is_refused_when_it_is_read(sizes: str) -> None:
    with pytest.raises(ValidationError):
        WeightsPrint(signs="0" * 16, sizes=sizes)


@pytest.mark.real
@torch.no_grad()
def test_one_block_of_a_real_model_abliterated_is_another_model(smollm2: LanguageModel) -> None:
    before = print_of(smollm2.model)
    assert smollm2.identity.quantization == "gguf"
    assert smollm2.identity.weights == before
    edited = (smollm2.blocks[15].self_attn.o_proj.weight, smollm2.blocks[15].mlp.down_proj.weight)
    kept = [weight.clone() for weight in edited]
    _without_direction(15)(smollm2.model)
    for weight, old in zip(edited, kept, strict=True):
        assert not print_of(smollm2.model).matches(before)
        weight.copy_(old)
    assert print_of(smollm2.model) == before
