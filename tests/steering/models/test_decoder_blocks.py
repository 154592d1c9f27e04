"""Finding the decoder blocks, whatever the family."""

import pytest
import torch
from torch import nn
from transformers import PreTrainedConfig, T5Config, T5ForConditionalGeneration

from steering import LanguageModel, Sliders, SteeringError, record
from steering.models.decoder_blocks import block_output, find_blocks, with_block_output
from tests.helpers.families import build
from tests.helpers.tiny import FAMILIES, LAYERS, random_vector, tiny_lm, tiny_model

PATHS = {"GPT2": "transformer.h", "GPTNeoX": "gpt_neox.layers", "Opt": "model.decoder.layers", "Bloom": "transformer.h",
         "Falcon": "transformer.h", "Gemma3Multimodal": "model.language_model.layers"}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_the_blocks_of_every_family_are_found(family: str) -> None:
    model = tiny_model(family)
    expected = model.get_submodule(PATHS.get(family, "model.layers"))
    assert find_blocks(model) is expected
    assert len(expected) == LAYERS


@pytest.mark.parametrize("family", FAMILIES)
def test_recording_reads_what_the_next_block_gets(family: str) -> None:
    """The state of block L is the input of block L + 1: not normalised, not shifted by one, without padding."""
    lm = tiny_lm(family)
    chats = ["a", "longer than the other"]
    inputs: list[torch.Tensor] = []
    for layer in range(1, LAYERS):
        hook = lm.blocks[layer].register_forward_pre_hook(
            lambda _module, args, kwargs: inputs.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
        with torch.inference_mode():
            for chat in chats:
                lm.model(input_ids=torch.tensor([lm.tokenize(chat).ids]))
        hook.remove()
    expected = torch.stack([state[0, -1] for state in inputs]).reshape(LAYERS - 1, 2, -1).transpose(0, 1)
    torch.testing.assert_close(record(lm, chats)[:, :-1], expected, rtol=1e-4, atol=1e-4)


def test_a_path_overrides_the_search() -> None:
    model = tiny_model("GPT2")
    assert find_blocks(model, "transformer.h") is model.transformer.h
    with pytest.raises(SteeringError, match=r"at 'transformer.blocks'.*found nothing; the lists are 'transformer.h "):
        find_blocks(model, "transformer.blocks")


def test_the_override_reaches_the_language_model() -> None:
    lm = tiny_lm()
    lm.model.model.adapters = nn.ModuleList(nn.Linear(32, 32) for _ in range(LAYERS))
    with pytest.raises(
        SteeringError, match=r"Expected one list of 4 .* found 2 among 'layers \(4 entries\)', 'adapters"
    ):
        LanguageModel(lm.model, lm.tokenizer)
    assert LanguageModel(lm.model, lm.tokenizer, blocks_path="model.layers").blocks is lm.model.model.layers
    Sliders(a=random_vector()).attach(lm.model, blocks="model.layers").detach()
    lm.model.model.adapters.append(nn.Linear(32, 32))
    with pytest.raises(SteeringError, match=r"Expected the 4 decoder blocks .* found a list of 5"):
        find_blocks(lm.model, "model.adapters")


def test_an_encoder_decoder_is_refused() -> None:
    config = T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2)
    with pytest.raises(SteeringError, match="decoder-only language model, found the encoder-decoder 'T5For"):
        find_blocks(T5ForConditionalGeneration(config))


def test_a_block_output_keeps_its_kind() -> None:
    h, other = torch.zeros(1, 2, 3), object()
    assert block_output(h) is h
    assert block_output((h, other)) is h
    replaced = with_block_output((h, other), h + 1)
    assert isinstance(replaced, tuple)
    assert replaced[1] is other
    assert block_output([h, other]) is h
    assert with_block_output([h, other], h + 1)[1:] == [other]
    with pytest.raises(SteeringError, match=r"found a tensor of shape \(2, 1, 2, 3\)"):
        block_output(torch.zeros(2, 1, 2, 3))
    with pytest.raises(SteeringError, match="found dict"):
        block_output({})


def test_an_lm_head_called_decoder_is_not_searched() -> None:
    model = build("modernbert-decoder")
    assert isinstance(model.get_decoder(), nn.Linear)
    assert find_blocks(model) is model.model.layers


def test_a_config_without_a_number_of_layers_is_refused() -> None:
    model = tiny_model()
    model.config = PreTrainedConfig()
    with pytest.raises(SteeringError, match="config says its 'num_hidden_layers', found 'LlamaForCausalLM'"):
        find_blocks(model)
