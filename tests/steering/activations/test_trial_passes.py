"""What trials find out of a model's passes, and that they are run once."""

from typing import Any

import pytest
import torch
from transformers import BertConfig, BertLMHeadModel

from steering import LanguageModel, Sliders, record, sweep
from steering.activations.shared_prefix import shared_prefix
from steering.activations.trial_passes import (
    goes_on_from_prefixes,
    pads_left,
    pads_right,
    spreads_rows,
    writes_batches,
    writes_on_from_caches,
)
from tests.helpers.families import build
from tests.helpers.family_checks import FamilyChecks
from tests.helpers.tiny import random_vector, tiny_lm, tiny_tokenizer

TRIALS = (goes_on_from_prefixes, spreads_rows, writes_on_from_caches, pads_right, writes_batches, pads_left)


def lm_of(model_type: str) -> LanguageModel:
    return LanguageModel(build(model_type), tiny_tokenizer(), system_prompt="Be brief.")


@pytest.mark.parametrize("family", ["Llama", "Gemma3", "GptOss", "Gemma3Multimodal"])
def test_keys_and_values_under_causal_attention_allow_everything(family: str) -> None:
    lm = tiny_lm(family)
    assert [trial(lm) for trial in TRIALS] == [True] * len(TRIALS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_is_no_reason_to_share_nothing(dtype: torch.dtype) -> None:
    lm = tiny_lm()
    lm.model.to(dtype)
    assert [trial(lm) for trial in TRIALS] == [True] * len(TRIALS)


@pytest.mark.parametrize("model_type", ["falcon_h1", "jamba", "mamba", "minimax", "qwen3_next", "rwkv", "zamba2"])
def test_states_are_no_prefixes_to_go_on_from(model_type: str) -> None:
    lm = lm_of(model_type)
    assert not goes_on_from_prefixes(lm)
    rows = [lm.tokenize(prompt).ids for prompt in ("Hi", "Why?")]
    assert shared_prefix(lm, rows, 5).length == 0


def test_prompts_that_look_ahead_share_nothing_and_are_not_padded() -> None:
    lm = lm_of("paligemma")
    assert not goes_on_from_prefixes(lm)
    assert not pads_right(lm)


def test_text_that_looks_both_ways_shares_nothing() -> None:
    config = BertConfig(vocab_size=272, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, pad_token_id=0)
    lm = LanguageModel(BertLMHeadModel(config).eval(), tiny_tokenizer(), system_prompt="Be brief.")
    assert not goes_on_from_prefixes(lm)
    chats = ["Hi", "What of the tide?"]
    passes = [FamilyChecks(lm).plain_pass(lm.tokenize(chat).ids)[0] for chat in chats]
    expected = torch.stack([torch.stack([state[-1] for state in states]) for states in passes])
    torch.testing.assert_close(record(lm, chats), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("model_type", "trial"),
    [
        ("bloom", spreads_rows),
        ("xglm", spreads_rows),
        ("mpt", writes_on_from_caches),
        ("rwkv", pads_left),
        ("rwkv", writes_batches),
        ("recurrent_gemma", pads_left),
    ],
)
def test_what_a_family_does_not_allow(model_type: str, trial: Any) -> None:
    assert not trial(lm_of(model_type))


def test_a_trial_runs_once_a_model() -> None:
    lm, passes = tiny_lm(system_prompt="Be brief."), []
    record(lm, ["Hi", "Why?"])
    handle = lm.model.get_input_embeddings().register_forward_hook(lambda *_: passes.append(1))
    record(lm, ["Hi", "Why?"])
    handle.remove()
    assert len(passes) == 2  # the prefix, and what follows it


def test_a_sweep_under_another_dial_is_that_of_single_runs() -> None:
    """The other dial is to see whole prompts: parts of them would count as answers."""
    lm, settings = tiny_lm(), [{}, {"a": 1.0}]
    prompts = ["Hi", "What of the tide?"]
    with Sliders(b=random_vector(2)).attach(lm, tokens="generated") as outer:
        outer.set(b=1.0)
        answers = sweep(lm, Sliders(a=random_vector(1)), prompts, settings, max_new_tokens=5, progress=False)
        with Sliders(a=random_vector(1)).attach(lm) as dial:
            for prompt, found in zip(prompts, answers, strict=True):
                for setting, answer in zip(settings, found, strict=True):
                    dial.set(**{"a": 0.0} | setting)
                    assert lm.generate([prompt], max_new_tokens=5) == [answer]
