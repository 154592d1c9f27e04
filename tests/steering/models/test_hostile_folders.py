"""Model folders that are damaged: one sentence that names the file, and no random weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from steering import SteeringError, SteeringVector, load
from tests.helpers.tiny import save_folder, tiny_lm


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_folder(tiny_lm(), tmp_path)


def test_weights_that_a_folder_lacks_are_not_made_up(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SteeringError, match=r"found 1 missing, such as 'model\.layers\.1\.mlp\.up_proj\.weight'"):
        load(folder)


def edit(file: str, **fields: Any) -> Callable[[Path], object]:
    """A change to fields of one of the folder's JSON files."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / file).read_text()) | fields
        (folder / file).write_text(json.dumps(content))

    return apply


def write(file: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text(text)


GENERATION = "generation_config.json"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a token id that is text": (edit(GENERATION, eos_token_id="x"), "field 'eos_token_id"),
    "token ids with text among them": (edit(GENERATION, eos_token_id=[1, "a"]), "field 'eos_token_id"),
    "a token id without end": (edit(GENERATION, pad_token_id=10**30), "field 'pad_token_id"),
    "a forced token id below 0": (edit(GENERATION, forced_eos_token_id=-1), "field 'forced_eos_token_id"),
    "suppressed tokens that are none": (edit(GENERATION, suppress_tokens=["a"]), "field 'suppress_tokens"),
    "beams in words": (edit(GENERATION, num_beams="two"), "field 'num_beams'.*found 'two'"),
    "more beams than memory": (edit(GENERATION, num_beams=1 << 40), "field 'num_beams'"),
    "a length in words": (edit(GENERATION, max_new_tokens="20"), "field 'max_new_tokens'"),
    "a penalty in words": (edit(GENERATION, repetition_penalty="1.1"), "field 'repetition_penalty'"),
    "a penalty without end": (write(GENERATION, '{"repetition_penalty": 1e999}'), "field 'repetition_penalty'"),
    "a list where yes or no belongs": (edit(GENERATION, output_hidden_states=[1]), "field 'output_hidden_states'"),
    "generation settings cut": (write(GENERATION, '{"eos_token_id": '), "invalid JSON"),
    "generation settings nested": (write(GENERATION, "[" * 100_000), "invalid JSON"),
    "generation settings of a list": (write(GENERATION, "[]"), "Expected settings that can be used in"),
    "layers without end": (edit("config.json", num_hidden_layers=1 << 40), "at most 4096 as 'num_hidden_layers'"),
    "a width in words": (edit("config.json", hidden_size="x"), "hidden_size"),
    "a token id that is text in the configuration": (edit("config.json", eos_token_id="x"), "eos_token_id"),
    "a configuration of a list": (write("config.json", "[]"), "Can't load"),
    "a configuration nested": (write("config.json", "[" * 100_000), "Can't load"),
    "a text's length in words": (edit("tokenizer_config.json", model_max_length="x"), "'model_max_length'.*found 'x'"),
    "a tokenizer nested": (write("tokenizer.json", "[" * 100_000), "Can't load"),
    "weights cut": (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 8), "Can't load"),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_what_a_folder_says_is_checked_when_it_is_loaded(damage: str, folder: Path) -> None:
    change, sentence = DAMAGE[damage]
    change(folder)
    with pytest.raises(SteeringError, match=sentence) as raised:
        load(folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


USUAL: list[dict[str, Any]] = [
    {"eos_token_id": [1, 2], "pad_token_id": -1, "bos_token_id": None},
    {"do_sample": True, "temperature": 1, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.05},
    {"suppress_tokens": [5, 6], "begin_suppress_tokens": [7], "bad_words_ids": [[8, 9]], "max_length": 200},
    {"sequence_bias": [[[10, 11], -2.0]], "no_repeat_ngram_size": 3, "_from_model_config": True, "later": "field"},
]


@pytest.mark.parametrize("fields", USUAL)
def test_usual_settings_are_taken(fields: dict[str, Any], folder: Path) -> None:
    edit(GENERATION, **fields)(folder)
    lm = load(folder)
    assert isinstance(lm.chat("Hello", max_new_tokens=3), str)


@pytest.mark.parametrize(
    "template", ["{{ '' }}", "{% if true %}{% endif %}", "{% for m in messages[9:] %}x{% endfor %}"]
)
def test_a_template_that_renders_nothing_is_one_sentence(template: str, folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(SteeringError):
        load(folder).tokenize("Hello")
    with pytest.raises(SteeringError):
        _ = load(folder).post_instruction_length


@pytest.mark.parametrize("name", ["~nosuchuser/x", "~nosuchuser", "~nosuchuser/x.gguf"])
@pytest.mark.parametrize("engine", ["transformers", "llama.cpp"])
def test_a_home_of_nobody_is_one_sentence(name: str, engine: Any) -> None:
    with pytest.raises(SteeringError, match="~nosuchuser"):
        load(name, engine=engine)


@pytest.mark.parametrize("name", ["x" * 5000, "/" + "x" * 5000, "x" * 5000 + ".gguf", "a\0b"])
def test_a_name_that_no_file_can_have_is_one_sentence(name: str) -> None:
    with pytest.raises(SteeringError):
        load(name)
    with pytest.raises(SteeringError):
        SteeringVector.load(name)
