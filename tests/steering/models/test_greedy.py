"""Answers are the likeliest tokens whatever a model folder's generation config asks for beside its end tokens."""

from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from probes.answers import Decoding, answer
from probes.judges.next_word import write_freely
from probes.token_monitor import monitor
from steering import LanguageModel, Sliders, SteeringError, axis_readout, load, sweep
from steering.explore.answer_stream import stream_answers
from steering.hooks.prompt_caches import Allows
from steering.models.greedy import greedy_options
from tests.helpers.tiny import random_vector, save_folder, tiny_lm

PROMPTS = ["Hi", "What is the tide?"]
NEW = 6
FOLDERS: list[dict[str, Any]] = [
    {"do_sample": True, "temperature": 9.0, "top_k": 3, "top_p": 0.5, "min_p": 0.1, "typical_p": 0.5},
    {"epsilon_cutoff": 0.1, "eta_cutoff": 0.1, "do_sample": True, "top_h": 0.5},
    {"num_beams": 3, "length_penalty": 2.0, "early_stopping": True},
    {"num_beams": 2, "num_return_sequences": 2},
    {"num_return_sequences": 2, "do_sample": True},
    {"repetition_penalty": 9.0},
    {"encoder_repetition_penalty": 9.0},
    {"no_repeat_ngram_size": 1},
    {"guidance_scale": 5.0},
    {"assistant_early_exit": 2},
    {"prompt_lookup_num_tokens": 3, "max_matching_ngram_size": 2},
    {"cache_implementation": "static", "max_cache_len": 200},
    {"cache_implementation": "quantized", "cache_config": {"backend": "quanto"}},
    {"use_cache": False},
    {"use_mtp": True},
    {"suppress_tokens": [*range(10, 200)]},
    {"begin_suppress_tokens": [*range(10, 200)]},
    {"forced_bos_token_id": 7},
    {"forced_eos_token_id": 7},
    {"bad_words_ids": [[token] for token in range(10, 200)]},
    {"sequence_bias": [[[9], 99.0]]},
    {"exponential_decay_length_penalty": [1, 9.0], "eos_token_id": 9},
    {"min_length": 30, "min_new_tokens": 5},
    {"max_length": 3, "max_time": 1e-9},
    {"stop_strings": ["a"]},
    {"token_healing": True},
    {"remove_invalid_values": True, "renormalize_logits": True},
    {"watermarking_config": {"bias": 9.0, "seeding_scheme": "lefthash"}},
    {"return_dict_in_generate": True, "output_scores": True, "output_logits": True, "output_hidden_states": True},
    {"output_attentions": True},
    {"penalty_alpha": 0.6, "dola_layers": "low", "an_entry_of_its_own": 3},
]


def by_hand(lm: LanguageModel, prompt: str) -> str:
    """The likeliest tokens, one plain pass each."""
    ids = lm.tokenize(prompt).ids
    written: list[int] = []
    with torch.inference_mode():
        for _ in range(NEW):
            written.append(int(lm.model(input_ids=torch.tensor([[*ids, *written]])).logits[0, -1].argmax()))
    assert lm.tokenizer.eos_token_id not in written
    return lm.response_tokens.text(written, lm.tokenize(prompt).asked)


def model_with(folder: dict[str, Any]) -> LanguageModel:
    lm = tiny_lm()
    lm.model.generation_config = GenerationConfig(**({"eos_token_id": 1, "pad_token_id": 0} | folder))
    return lm


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: "-".join(folder))
def test_whatever_the_folder_says_answers_are_greedy(folder: dict[str, Any]) -> None:
    expected = [by_hand(tiny_lm(), prompt) for prompt in PROMPTS]
    lm = model_with(folder)
    sliders = Sliders(a=random_vector())
    assert lm.generate(PROMPTS, NEW) == expected
    assert lm.chat(PROMPTS[0], NEW) == expected[0]
    settings = [{}, {"a": 1.0}]
    found = sweep(lm, sliders, PROMPTS, settings, max_new_tokens=NEW, progress=False)
    assert [row[0] for row in found] == expected
    assert found == sweep(tiny_lm(), sliders, PROMPTS, settings, max_new_tokens=NEW, progress=False)
    with sliders.attach(lm) as dial:
        *_, streamed = stream_answers(lm, dial, PROMPTS, [{}, {}], NEW)
    assert streamed == expected
    assert list(answer(lm, PROMPTS, Decoding(max_new_tokens=NEW), None).texts) == expected


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: "-".join(folder))
def test_whatever_the_folder_says_judges_and_monitors_write_greedily(folder: dict[str, Any]) -> None:
    lm = model_with(folder)
    expected = by_hand(tiny_lm(), PROMPTS[0])
    ids = lm.tokenize(PROMPTS[0]).ids
    assert lm.response_tokens.text(lm.tokenizer(write_freely(lm, ids, NEW)).input_ids, False) == expected
    readings = monitor(lm, PROMPTS[0], {"a": axis_readout(random_vector())}, NEW)
    assert readings == monitor(tiny_lm(), PROMPTS[0], {"a": axis_readout(random_vector())}, NEW)


def test_end_tokens_of_the_folder_end_answers() -> None:
    lm = tiny_lm()
    second = lm.model.generate(torch.tensor([lm.tokenize("Hi").ids]), max_new_tokens=2, pad_token_id=0)[0, -1].item()
    lm.model.generation_config.eos_token_id = [1, second]
    assert len(lm.generate(["Hi"], NEW)[0]) < len(by_hand(tiny_lm(), "Hi"))


def test_a_folder_is_read_so_too(tmp_path: Any) -> None:
    lm = tiny_lm()
    lm.model.generation_config = GenerationConfig(num_beams=2, repetition_penalty=5.0, use_cache=False, eos_token_id=1)
    found = load(str(save_folder(lm, tmp_path)))
    assert found.generate(PROMPTS, NEW) == [by_hand(tiny_lm(), prompt) for prompt in PROMPTS]


def test_options_and_a_config_of_the_call_ask_for_more() -> None:
    lm = tiny_lm()
    ids, mask = torch.tensor([lm.tokenize("Hi").ids]), torch.ones(1, len(lm.tokenize("Hi").ids), dtype=torch.long)
    beams = {"num_beams": 4, "repetition_penalty": 3.0, "max_new_tokens": NEW, "pad_token_id": 0}
    tokens = lm.model.generate(ids, attention_mask=mask, **beams)[0, ids.shape[1] :].tolist()
    expected = [lm.response_tokens.text(tokens, False)]
    assert expected != [by_hand(lm, "Hi")]
    assert lm.generate(["Hi"], NEW, num_beams=4, repetition_penalty=3.0) == expected
    assert lm.generate(["Hi"], NEW, generation_config=GenerationConfig(num_beams=4, repetition_penalty=3.0)) == expected
    torch.manual_seed(0)
    sampled = lm.generate(["Hi"], NEW, do_sample=True, temperature=3.0)
    torch.manual_seed(0)
    assert lm.generate(["Hi"], NEW, generation_config=GenerationConfig(do_sample=True, temperature=3.0)) == sampled
    assert sampled != [by_hand(lm, "Hi")]


def test_a_sweep_shares_no_cache_in_a_model_that_keeps_none() -> None:
    assert Allows.of(tiny_lm()).caches
    assert not Allows.of(model_with({"use_cache": False})).caches


@pytest.mark.parametrize(
    "options",
    [{"num_return_sequences": 2}, {"generation_config": GenerationConfig(do_sample=True, num_return_sequences=2)}],
)
def test_a_sweep_refuses_several_answers_to_a_prompt(options: dict[str, Any]) -> None:
    with pytest.raises(SteeringError, match=r"one answer to a prompt, found .num_return_sequences"):
        sweep(tiny_lm(), Sliders(a=random_vector()), PROMPTS, [{}], do_sample=True, progress=False, **options)


@pytest.mark.parametrize("options", [{"num_beams": 2}, {"prompt_lookup_num_tokens": 3}, {"assistant_early_exit": 1}])
def test_a_stream_refuses_what_isnt_written_token_by_token(options: dict[str, Any]) -> None:
    lm = tiny_lm()
    with (
        Sliders(a=random_vector()).attach(lm) as dial,
        pytest.raises(SteeringError, match=f"a token at a time, found .{next(iter(options))}"),
    ):
        list(stream_answers(lm, dial, ["Hi"], [{}], 4, **options))


def test_nothing_is_set_aside_where_the_folder_sets_nothing() -> None:
    lm = model_with({})
    assert greedy_options(lm.model, {"top_k": 5}) == {"do_sample": False, "top_k": 5}
