"""Tokens behind a state without a length are counted, for each cache; what nobody counted is refused."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from steering import LanguageModel, Sliders, SteeringError
from steering.hooks.past_tokens import PastTokens
from tests.helpers.families import build
from tests.helpers.tiny import random_vector, tiny_tokenizer

CACHES = {"mamba": "cache_params", "mamba2": "cache_params", "falcon_mamba": "cache_params", "rwkv": "state"}
TOKENS = ("generated", "prompt", "last_prompt_token", "answer", "answer:2")


def lm_of(model_type: str) -> LanguageModel:
    return LanguageModel(build(model_type), tiny_tokenizer())


def plain_steps(lm: LanguageModel, ids: Tensor, name: str, steps: int) -> Tensor:
    """A loop of one's own: the prompt, then token by token behind the state."""
    step, given, sequence = ids, {}, ids
    for _ in range(steps):
        output = lm.model(input_ids=step, use_cache=True, **given)
        given, step = {name: output[name]}, output.logits[:, -1:].argmax(-1)
        sequence = torch.cat([sequence, step], dim=1)
    return sequence


@pytest.mark.parametrize("model_type", CACHES)
@pytest.mark.parametrize("tokens", TOKENS)
@torch.inference_mode()
def test_a_loop_over_states_steers_like_generate_without_a_cache(model_type: str, tokens: str) -> None:
    lm = lm_of(model_type)
    ids = torch.tensor([lm.tokenize("What is the tide?").ids])
    settings: dict[str, Any] = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    with Sliders(a=random_vector()).attach(lm, tokens=tokens) as dial:
        dial.set(a=2.0)
        expected = lm.model.generate(ids, use_cache=False, **settings)
        for _ in range(2):  # a second prompt starts afresh
            assert torch.equal(plain_steps(lm, ids, CACHES[model_type], 5), expected)
        assert torch.equal(lm.model.generate(ids, use_cache=True, **settings), expected)


@pytest.mark.parametrize("model_type", CACHES)
@torch.inference_mode()
def test_a_state_that_was_filled_elsewhere_is_refused(model_type: str) -> None:
    lm, name = lm_of(model_type), CACHES[model_type]
    ids = torch.tensor([[7, 8, 9]])
    filled = lm.model(input_ids=ids, use_cache=True)[name]
    with Sliders(a=random_vector()).attach(lm, tokens="generated"):
        with pytest.raises(SteeringError, match="filled elsewhere; run the whole prompt under the dial"):
            lm.model(input_ids=ids[:, :1], use_cache=True, **{name: filled})
        own = lm.model(input_ids=ids, use_cache=True)[name]
        with pytest.raises(SteeringError, match="filled elsewhere"):
            lm.model(input_ids=ids[:, :1], use_cache=True, **{name: copy.deepcopy(own)})


def test_a_cache_of_keys_and_values_says_its_length_itself() -> None:
    cache = DynamicCache()
    counts = PastTokens()
    assert counts.pass_begins({"past_key_values": cache}) == 0
    cache.update(torch.zeros(1, 1, 3, 2), torch.zeros(1, 1, 3, 2), 1)  # the first layer has no attention
    assert counts.pass_begins({"past_key_values": cache}) == 3
    cache.layers[1].crop(-1)
    assert counts.pass_begins({"past_key_values": cache}) == 2


def test_no_cache_is_kept_alive() -> None:
    lm = lm_of("mamba")
    counts = PastTokens()
    with torch.inference_mode():
        output = lm.model(input_ids=torch.tensor([[7, 8, 9]]), use_cache=True)
    counts.pass_ends(output, 3)
    assert counts.pass_begins({"cache_params": output.cache_params}) == 3
    counts.pass_ends(output, 4)
    del output
    assert len(counts._counts) == 0
