"""Callers other than `generate` of the plain model: other loops, other caches. Right, or refused."""

import copy
from typing import Any

import pytest
import torch
from tokenizers import normalizers
from torch import Tensor
from transformers import DynamicCache, StaticCache

from steering import Sliders, SteeringError, record
from steering.scoring.next_token import next_token_log_probabilities
from tests.helpers.callers import ROWS, STEPS, Call, Written, assert_right
from tests.helpers.forward_passes import IDS
from tests.helpers.slow_steering import Steering, answer_logits
from tests.helpers.tiny import tiny_lm, tiny_model

ANSWER = Steering("answer", gated=False)
GATED = Steering("generated", gated=True)


@torch.inference_mode()
def test_two_caches_in_turn_keep_their_prompts_apart() -> None:
    model = tiny_model()
    with Sliders(a=ANSWER.slider()).attach(model) as dial:
        dial.set(a=1.0)
        prompts = [torch.tensor([row]) for row in ROWS]
        outputs = [model(input_ids=prompt, use_cache=True) for prompt in prompts]
        caches = [output.past_key_values for output in outputs]
        found = [[output.logits[:, -1]] for output in outputs]
        for _ in range(STEPS - 1):
            for cache, logits in zip(caches, found, strict=True):
                step = logits[-1].argmax(-1, keepdim=True)
                logits.append(model(input_ids=step, past_key_values=cache, use_cache=True).logits[:, -1])
    tokens = [[int(one.argmax()) for one in logits] for logits in found]
    assert_right(model, Written(tokens, torch.stack([torch.cat(logits) for logits in found])), ANSWER)


@torch.inference_mode()
def test_a_copied_cache_goes_on_as_the_one_it_is_of() -> None:
    model, step = tiny_model(), torch.tensor([[9]])
    with Sliders(a=ANSWER.slider()).attach(model) as dial:
        dial.set(a=1.0)
        cache = model(input_ids=IDS[:1], use_cache=True).past_key_values
        model(input_ids=IDS[:1, :5], use_cache=True)  # another prompt in between
        first = model(input_ids=step, past_key_values=copy.deepcopy(cache)).logits
        assert torch.equal(model(input_ids=step, past_key_values=cache).logits, first)
    slow = answer_logits(model, ANSWER, 1.0, IDS[0].tolist(), [9, 0])[1]
    torch.testing.assert_close(first[0, 0], slow, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_a_cache_that_was_filled_elsewhere_is_refused() -> None:
    model = tiny_model()
    cache = model(input_ids=IDS, use_cache=True).past_key_values
    with Sliders(a=ANSWER.slider()).attach(model) as dial:
        with pytest.raises(
            SteeringError, match="a cache whose prompts passed through the attached model, found one of 12"
        ):
            model(input_ids=IDS[:, :1], past_key_values=cache)
        with dial.prompt_lengths([12]):
            model(input_ids=IDS[:, :1], past_key_values=cache)


@torch.inference_mode()
def test_a_cache_that_cannot_say_its_length_is_refused() -> None:
    model = tiny_model()
    with (
        Sliders(a=ANSWER.slider()).attach(model),
        pytest.raises(SteeringError, match=r"a cache that says how many tokens it holds.*found a 'tuple'"),
    ):
        model(input_ids=IDS, past_key_values=((IDS, IDS),))


@torch.inference_mode()
def test_several_tokens_behind_a_prompt_are_refused_unless_it_is_said_whose_they_are() -> None:
    model = tiny_model()
    with Sliders(a=ANSWER.slider()).attach(model) as dial:
        dial.set(a=1.0)
        cache = DynamicCache(config=model.config)
        model(input_ids=IDS[:, :5], past_key_values=cache)
        with pytest.raises(SteeringError, match="one new token a row behind the prompts in the cache, found 7"):
            model(input_ids=IDS[:, 5:], past_key_values=cache)
        whole = model(input_ids=IDS).logits
        parts = DynamicCache(config=model.config)
        with dial.prompt_lengths([12, 12, 12]):
            found = [model(input_ids=part, past_key_values=parts).logits for part in (IDS[:, :5], IDS[:, 5:])]
        torch.testing.assert_close(torch.cat(found, dim=1), whole, rtol=1e-4, atol=1e-4)


def test_a_prefix_in_a_cache_is_refused_where_it_was_moved_as_a_prompt_of_its_own() -> None:
    model, ids = tiny_model(), torch.tensor(ROWS[1:])
    options = {"max_new_tokens": STEPS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    for steering, refused in ((ANSWER, True), (Steering("generated", gated=False), False)):
        with Sliders(a=steering.slider()).attach(model) as dial, torch.inference_mode():
            dial.set(a=1.0)
            expected = model.generate(ids, **options)
            cache = DynamicCache(config=model.config)
            model(input_ids=ids[:, :3], past_key_values=cache)
            if refused:
                with pytest.raises(SteeringError, match=r"filled with prompts of \[3\] tokens"):
                    model.generate(ids, past_key_values=copy.deepcopy(cache), **options)
                cache = DynamicCache(config=model.config)
                with dial.prompt_lengths([8]):
                    model(input_ids=ids[:, :3], past_key_values=cache)
            assert torch.equal(model.generate(ids, past_key_values=cache, **options), expected)


@torch.inference_mode()
def test_a_loop_without_a_cache_that_says_nothing_is_refused_at_its_second_step() -> None:
    model = tiny_model()
    with Sliders(a=ANSWER.slider()).attach(model) as dial:
        for ids in (IDS, IDS.flip(0), IDS[:, :7]):
            model(input_ids=ids)  # prompts that don't grow by a token
        with pytest.raises(SteeringError, match="the last pass's tokens with one more"):
            model(input_ids=IDS[:, :8])
        with dial.prompt_lengths([7]):
            model(input_ids=IDS[:, :8])


@pytest.mark.parametrize(
    "given",
    [
        {"position_ids": torch.tensor([[0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]])},
        {"position_ids": torch.arange(12)[None] + 5},
        {"cu_seq_lens_q": torch.tensor([0, 6, 12])},
    ],
)
@torch.inference_mode()
def test_rows_that_hold_several_sequences_are_refused(given: dict[str, Tensor]) -> None:
    model = tiny_model()
    with (
        Sliders(a=ANSWER.slider()).attach(model),
        pytest.raises(SteeringError, match="one sequence in each row, found rows that hold several"),
    ):
        model(input_ids=IDS[:1], **given)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(3, 1, 12, 12, dtype=torch.bool).tril(), r"an attention mask of shape \(rows, tokens\)"),
        (
            torch.ones(3, 7, dtype=torch.long),
            "over all 12 tokens so far, those in the cache included, found one over 7",
        ),
    ],
)
@torch.inference_mode()
def test_a_mask_that_does_not_show_padding_is_refused(mask: Tensor, message: str) -> None:
    model = tiny_model()
    with Sliders(a=ANSWER.slider()).attach(model), pytest.raises(SteeringError, match=message):
        model(input_ids=IDS, attention_mask=mask)


def test_padding_that_generate_infers_is_seen() -> None:
    """No mask is passed: transformers takes padding tokens for padding, and shows no mask of them to a static cache."""
    model = tiny_model()
    call = Call(model, ROWS, "left", "dynamic", 0)
    options = {"max_new_tokens": STEPS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    with Sliders(a=ANSWER.slider()).attach(model) as dial:
        dial.set(a=1.0)
        expected = model.generate(**call.inputs, **options)
        ids = call.inputs["input_ids"]
        assert torch.equal(model.generate(ids, **options), expected)
        with pytest.raises(SteeringError, match=r"an attention mask of shape \(rows, tokens\)"):
            model.generate(ids, cache_implementation="static", disable_compile=True, **options)
        unpadded = ids[1:]
        static = model.generate(unpadded, cache_implementation="static", disable_compile=True, **options)
        assert torch.equal(static, expected[1:])


def test_a_decoding_loop_that_drops_rows_is_refused() -> None:
    def first_row_ends(model: Any, input_ids: Tensor, **kwargs: Any) -> Tensor:
        cache = DynamicCache(config=model.config)
        step = model(input_ids=input_ids, past_key_values=cache).logits[:, -1:].argmax(-1)
        cache.batch_select_indices(torch.tensor([1, 2]))
        return model(input_ids=step[1:], past_key_values=cache).logits

    model = tiny_model()
    with (
        Sliders(a=ANSWER.slider()).attach(model),
        pytest.raises(SteeringError, match="Expected the 3 rows of the prompts, or as many for each of them, found 2"),
    ):
        model.generate(IDS, custom_generate=first_row_ends, max_new_tokens=2, do_sample=False)


def test_the_unconditional_prompts_of_guidance_are_prompts_of_their_own() -> None:
    model = tiny_model()
    prompt, negative = ROWS[1], ROWS[0]
    scale = 2.0
    options = {"max_new_tokens": STEPS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    options |= {"output_scores": True, "return_dict_in_generate": True, "renormalize_logits": False}
    for steering in (ANSWER, GATED):
        with Sliders(a=steering.slider()).attach(model) as dial:
            dial.set(a=1.0)
            output = model.generate(
                torch.tensor([prompt]), guidance_scale=scale, negative_prompt_ids=torch.tensor([negative]), **options
            )
        answer = output.sequences[0, len(prompt) :].tolist()
        likely, unlikely = (
            answer_logits(model, steering, 1.0, ids, answer).log_softmax(-1) for ids in (prompt, negative)
        )
        expected = scale * (likely - unlikely) + unlikely
        torch.testing.assert_close(torch.cat(output.scores), expected, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_a_static_cache_that_is_emptied_takes_new_prompts() -> None:
    model = tiny_model()
    cache = StaticCache(config=model.config, max_cache_len=32)
    found = []
    with Sliders(a=ANSWER.slider()).attach(model) as dial:
        dial.set(a=1.0)
        for row in ROWS:
            cache.reset()
            found.append(model(input_ids=torch.tensor([row]), past_key_values=cache).logits[:, -1])
    for row, logits in zip(ROWS, found, strict=True):
        torch.testing.assert_close(logits, answer_logits(model, ANSWER, 1.0, row, [0]), rtol=1e-4, atol=1e-4)


# LanguageModel.generate.


def test_no_prompts_get_no_answers() -> None:
    assert tiny_lm().generate([]) == []


def test_a_dictionary_gives_the_same_texts() -> None:
    lm = tiny_lm()
    expected = lm.generate(["Hi", "What is the tide?"], 6)
    assert lm.generate(["Hi", "What is the tide?"], 6, return_dict_in_generate=True) == expected


# Our own passes over whole chats.


def test_steered_answers_that_are_recorded_are_moved_as_answers() -> None:
    lm = tiny_lm()
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "the tide"}]
    tokenized = lm.tokenize(chat)
    prompt, answer = tokenized.ids[: tokenized.prompt_length], tokenized.ids[tokenized.prompt_length :]
    states: list[Tensor] = []
    with Sliders(a=ANSWER.slider()).attach(lm) as dial:
        dial.set(a=1.0)
        found = record(lm, [chat, chat], layers=[3], position="last")
    handle = lm.blocks[3].register_forward_hook(lambda _m, _i, output: states.append(output))
    answer_logits(lm.model, ANSWER, 1.0, prompt, answer)
    handle.remove()
    torch.testing.assert_close(found[:, 0], states[0][0, -1:].expand(2, -1), rtol=1e-4, atol=1e-4)


def test_prompts_that_grow_by_a_token_are_scored_each_as_a_prompt() -> None:
    lm = tiny_lm(chat_template=None)
    prompts = ["a" * length for length in (5, 6, 7)]
    lm.tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\n", "")
    rows = [lm.tokenize(prompt).ids for prompt in prompts]
    assert [len(row) for row in rows] == [5, 6, 7]
    with Sliders(a=ANSWER.slider()).attach(lm) as dial:
        dial.set(a=1.0)
        found = [next_token_log_probabilities(lm, [prompt])[0] for prompt in prompts]
    for row, likely in zip(rows, found, strict=True):
        slow = answer_logits(lm.model, ANSWER, 1.0, row, [0])[0].log_softmax(-1)
        torch.testing.assert_close(likely, slow, rtol=1e-4, atol=1e-4)
