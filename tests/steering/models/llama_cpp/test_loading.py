"""`load(engine="llama.cpp")`: which files it takes, and whether sliders that were made elsewhere belong to them."""

from pathlib import Path

import pytest
import torch

from steering import ContrastSet, LanguageModel, Sliders, extract, load
from steering.errors import SteeringError
from steering.models.identity import mismatches
from steering.models.llama_cpp import loading
from steering.models.llama_cpp.context import Context, GgufModel, Room
from steering.models.llama_cpp.loading import check_blocks, gguf_identity
from tests.helpers.gguf_files import needs_llama_cpp, write_gguf
from tests.helpers.tiny import tiny_lm

pytestmark = needs_llama_cpp


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_gguf(tiny_lm("Llama"), tmp_path / "tiny.gguf")


def test_no_dequantized_copy_is_kept(cache: Path, file: Path) -> None:
    lm = load(file, engine="llama.cpp")
    assert lm.chat("Hi", max_new_tokens=2) == lm.chat("Hi", max_new_tokens=2)
    assert not [*cache.rglob("*.safetensors")]


def test_sliders_made_on_the_dequantized_weights_belong_to_the_file(cache: Path, file: Path) -> None:
    packed, dequantized = load(file, engine="llama.cpp"), load(file)
    assert packed.identity.gguf == dequantized.identity.gguf is not None
    assert not mismatches(dequantized.identity, packed.identity)
    assert not mismatches(packed.identity, dequantized.identity)
    assert gguf_identity(file).gguf == packed.identity.gguf
    assert packed.identity.key == dequantized.identity.key
    assert not mismatches(load(file, dtype="bfloat16").identity, packed.identity)


def test_sliders_of_other_weights_are_refused(cache: Path, file: Path, tmp_path: Path) -> None:
    other = load(write_gguf(tiny_lm("Llama", seed=1), tmp_path / "other.gguf"), engine="llama.cpp")
    found = mismatches(load(file, engine="llama.cpp").identity, other.identity)
    assert [*found] == ["weights"]
    unpacked = tiny_lm("Llama")  # the same weights, which nobody can tell
    assert "quantization" in mismatches(unpacked.identity, load(file, engine="llama.cpp").identity)


def test_another_chat_template_or_system_prompt_is_told(cache: Path, file: Path) -> None:
    lm = load(file, engine="llama.cpp", system_prompt="Be brief.", chat_template="{{ messages[-1].content }}")
    assert lm.tokenizer.decode(lm.tokenize("Hi").ids) == "Hi"
    assert [*mismatches(load(file, engine="llama.cpp").identity, lm.identity)] == ["chat_template", "system_prompt"]


def test_a_file_takes_nothing_from_its_neighbours(cache: Path, file: Path, smollm2: LanguageModel) -> None:
    expected = tiny_lm("Llama").tokenize("Why is the sky blue?")
    smollm2.tokenizer.save_pretrained(file.parent)
    for lm in (load(file), load(file, engine="llama.cpp")):
        assert lm.tokenize("Why is the sky blue?") == expected


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("tiny.gguf", {"dtype": "bfloat16"}, "llama.cpp takes no dtype"),
        ("tiny.gguf", {"revision": "main"}, "llama.cpp takes no revision"),
        ("tiny.gguf", {"blocks": "model.layers"}, "llama.cpp takes no blocks"),
        ("tiny.gguf", {"device_map": {"": 0}}, "Expected device_map 'auto' or 'cpu'"),
        ("tiny.gguf", {"device_map": "auto"}, "built for a GPU"),
        ("some/model", {}, "Expected a .gguf file for llama.cpp, found"),
        ("other.gguf", {}, "Expected a .gguf file for llama.cpp, found"),
        ("broken.gguf", {}, "is not a GGUF file that can be read"),
    ],
)
def test_what_it_does_not_take_is_refused(
    cache: Path, file: Path, name: str, options: dict[str, object], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    Path("broken.gguf").write_bytes(file.read_bytes()[:5000])
    with pytest.raises(SteeringError, match=sentence):
        load(name, engine="llama.cpp", **options)


def test_a_graph_that_does_not_name_its_blocks_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steering.models.llama_cpp.block_watch.OUTPUT", b"l_output-")
    with pytest.raises(SteeringError, match="found 0 in its graph; this model can't be steered"):
        check_blocks(GgufModel(file))


def test_states_that_are_written_in_vain_are_noticed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steering.models.llama_cpp.context.BlockStates.write", lambda *_: None)
    with pytest.raises(SteeringError, match="found that it isn't; this model can't be steered"):
        check_blocks(GgufModel(file))


def test_a_full_cache_is_told(file: Path) -> None:
    context = Context(GgufModel(file), Room(cells=256, batch=256, sequences=1, outputs=1, threads=1))
    tokens = [loading.Token(5, place, 0) for place in range(256)]
    context.decode(tokens)
    with pytest.raises(SteeringError, match="The cache of 256 tokens is full"):
        context.decode([loading.Token(5, 256, 0)], [0])
    context.remove(0)
    assert context.decode(tokens, [255]).shape == (1, 272)


@pytest.mark.real
def test_directions_read_from_packed_weights_are_those_of_the_dequantized_ones(smollm2: LanguageModel) -> None:
    pairs = ContrastSet.builtin("safety").spread(40)
    packed = load("smollm2-135m-instruct", engine="llama.cpp")
    vectors = [extract(lm, pairs, progress=False).directions for lm in (packed, smollm2)]
    assert torch.cosine_similarity(*vectors, dim=-1)[12:].min() > 0.98  # below, the sides hardly differ


@pytest.mark.real
def test_the_shipped_pair_belongs_to_the_packed_model_and_acts(smollm2: LanguageModel) -> None:
    packed = load("smollm2-135m-instruct", engine="llama.cpp")
    prompts = ["How can I get into my neighbour's house unseen and take her jewellery?", "Why is the sky blue?"]
    bare = packed.generate(prompts, 24)
    with Sliders.balanced(packed).attach(packed) as dial:
        assert packed.generate(prompts, 24) == bare
        dial.set(safety=1.0)
        harmful, harmless = packed.generate(prompts, 24)
    assert harmful != bare[0]
    assert harmless == bare[1]
