"""What load() says of checkpoints before it reads their weights, and how it loads adapters."""

from pathlib import Path

import peft
import pytest
import torch
import transformers

from steering import LanguageModel, SteeringError, load
from steering.models.identity import mismatches
from tests.helpers.tiny import save_folder, tiny_lm, tiny_model, tiny_tokenizer

IDS = torch.tensor([[9, 8, 7]])
_SMALL = {"vocab_size": 272, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
_SMALL |= {"intermediate_size": 16}
_BART = {"vocab_size": 272, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1}
_BART |= {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2}


def _t5() -> transformers.PreTrainedModel:
    config = transformers.T5Config(vocab_size=272, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return transformers.T5ForConditionalGeneration(config)


NO_WRITERS = {
    "T5ForConditionalGeneration": _t5,
    "BartForConditionalGeneration": lambda: transformers.BartForConditionalGeneration(transformers.BartConfig(**_BART)),
    "WhisperForConditionalGeneration": lambda: transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(**_BART, max_source_positions=8, max_target_positions=8, pad_token_id=0)
    ),
    "BertForMaskedLM": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**_SMALL)),
    "LlamaForSequenceClassification": lambda: transformers.LlamaForSequenceClassification(tiny_model().config),
    "LlamaModel": lambda: tiny_model().model,
}


@pytest.mark.parametrize("name", NO_WRITERS)
def test_a_model_that_writes_no_text_is_refused_before_its_weights_are_read(name: str, tmp_path: Path) -> None:
    NO_WRITERS[name]().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not read")
    with pytest.raises(SteeringError, match=rf"^Expected a .*found .*'{name}'.*load a causal language model"):
        load(tmp_path)


def _save_adapter(folder: Path, base: Path | str | None) -> LanguageModel:
    """A LoRA of the tiny model, in a folder of its own; what it does."""
    config = peft.LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "down_proj"])
    torch.manual_seed(0)
    wrapper = peft.get_peft_model(tiny_model(), config)
    for name, parameter in wrapper.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    wrapper.peft_config["default"].base_model_name_or_path = base and str(base)
    wrapper.save_pretrained(folder)
    return LanguageModel(wrapper.get_base_model(), tiny_tokenizer())


@torch.inference_mode()
def test_an_adapter_is_loaded_on_the_base_that_it_names(tmp_path: Path) -> None:
    adapted = _save_adapter(tmp_path / "adapter", save_folder(tiny_lm(), tmp_path / "base"))
    lm = load(tmp_path / "adapter")
    assert torch.equal(lm.model(IDS).logits, adapted.model(IDS).logits)
    assert not torch.equal(lm.model(IDS).logits, tiny_lm().model(IDS).logits)
    assert lm.tokenize("Hi").ids == tiny_lm().tokenize("Hi").ids
    assert lm.identity.name == str(tmp_path / "adapter")
    assert not mismatches(adapted.identity.model_copy(update={"chat_template": None}), lm.identity)
    assert not lm.model.training


@torch.inference_mode()
def test_an_adapter_beside_its_model_is_loaded_with_the_tokenizer_there(tmp_path: Path) -> None:
    adapted = _save_adapter(save_folder(tiny_lm(chat_template="own"), tmp_path), "some/where")
    lm = load(tmp_path)
    assert torch.equal(lm.model(IDS).logits, adapted.model(IDS).logits)
    assert lm.tokenizer.chat_template == "own"


def test_an_adapters_own_tokenizer_goes_before_that_of_the_base(tmp_path: Path) -> None:
    _save_adapter(tmp_path / "adapter", save_folder(tiny_lm(), tmp_path / "base"))
    tiny_tokenizer("own").save_pretrained(tmp_path / "adapter")
    assert load(tmp_path / "adapter").tokenizer.chat_template == "own"


@pytest.mark.parametrize(
    ("base", "sentence"),
    [(None, "doesn't say which model it belongs to"), ("/no/such/base", "There is no folder '/no/such/base'")],
)
def test_an_adapter_without_its_base_is_refused(base: str | None, sentence: str, tmp_path: Path) -> None:
    _save_adapter(tmp_path, base)
    with pytest.raises(SteeringError, match=sentence):
        load(tmp_path)


def test_a_pickled_adapter_is_refused(tmp_path: Path) -> None:
    _save_adapter(tmp_path / "adapter", save_folder(tiny_lm(), tmp_path / "base"))
    (tmp_path / "adapter" / "adapter_model.safetensors").rename(tmp_path / "adapter" / "adapter_model.bin")
    with pytest.raises(SteeringError, match=r"weights in 'adapter_model\.safetensors', found no such file"):
        load(tmp_path / "adapter")


def test_without_peft_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save_adapter(tmp_path, "some/where")
    monkeypatch.setattr("steering.models.checkpoints.find_spec", lambda name: None)
    with pytest.raises(SteeringError, match=r"PEFT isn't installed; run: pip install 'trimtab\[peft\]'"):
        load(tmp_path)
