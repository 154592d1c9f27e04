"""Callers other than `generate` of the plain model: wrappers, other loops, other caches. Right, or refused."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from torch import Tensor, nn
from transformers import ContinuousBatchingConfig, DynamicCache, GenerationConfig, StaticCache

from steering import LanguageModel, Sliders, SteeringError, extract, record
from steering.formats.baked import to_baked
from steering.formats.peft import to_peft
from steering.hooks.dial import Dial
from steering.models.hook_points import output_projection, projection_weight
from tests.helpers.callers import STEPS, Call, Written, generate, loop
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.forward_passes import IDS
from tests.helpers.slow_steering import Steering, answer_logits
from tests.helpers.tiny import random_vector, tiny_lm, tiny_model, tiny_tokenizer

ROWS = [[10, 20, 30, 40, 50], [7, 8, 9, 10, 11, 12, 13, 14]]
ANSWER = Steering("answer", gated=False)
GATED = Steering("generated", gated=True)
LORA = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "o_proj"], r=2, init_lora_weights=False)


def written_under(attached: Any, call: Callable[[Dial], Written], steering: Steering = ANSWER) -> Written:
    with Sliders(a=steering.slider()).attach(attached) as dial:
        dial.set(a=1.0)
        return call(dial)


def assert_right(model: nn.Module, written: Written, steering: Steering = ANSWER) -> None:
    """Equal to slow passes, each token moved by hand, and unlike bare ones."""
    assert written.logits is not None
    for prompt, answer, logits in zip(ROWS, written.tokens, written.logits, strict=True):
        slow = answer_logits(model, steering, 1.0, prompt, answer)
        torch.testing.assert_close(logits, slow, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(slow, answer_logits(model, steering, 0.0, prompt, answer), atol=1e-2)


# Wrappers.


def adapted() -> Any:
    return get_peft_model(tiny_model(), LORA).eval()


WRAPPERS: dict[str, Callable[[], nn.Module]] = {
    "PeftModel": adapted,
    "DataParallel": lambda: nn.DataParallel(tiny_model()),
    "dispatched": lambda: accelerate.dispatch_model(tiny_model(), {"": "cpu"}),
    "offloaded": lambda: accelerate.cpu_offload(tiny_model(), execution_device=torch.device("cpu")),
    "a wrapper of a wrapper": lambda: nn.DataParallel(adapted()),
}


def inner(wrapper: Any) -> Any:
    while hasattr(wrapper, "module") or hasattr(wrapper, "get_base_model"):
        wrapper = wrapper.module if hasattr(wrapper, "module") else wrapper.get_base_model()
    return wrapper


@pytest.mark.parametrize("steering", [ANSWER, GATED])
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_that_sliders_are_attached_to_is_steered_whichever_is_called(name: str, steering: Steering) -> None:
    wrapper = WRAPPERS[name]()
    model = inner(wrapper)
    with Sliders(a=steering.slider()).attach(wrapper) as dial:
        dial.set(a=1.0)
        for called in (wrapper, model):
            found = [loop(Call(model, ROWS, "left", "dynamic", 0, dial), called)]
            found += [generate(Call(called, ROWS, "left", "dynamic", 0))] if hasattr(called, "generate") else []
            for written in found:
                assert_right(model, written, steering)


@pytest.mark.parametrize("make", [adapted, lambda: nn.DataParallel(tiny_model())])
def test_a_language_model_of_a_wrapper_is_one_of_what_it_wraps(make: Callable[[], nn.Module]) -> None:
    wrapper = make()
    lm = LanguageModel(wrapper, tiny_tokenizer())  # type: ignore[arg-type]
    assert lm.model is inner(wrapper)
    assert lm.generate(["Hi"], 4) == LanguageModel(inner(wrapper), tiny_tokenizer()).generate(["Hi"], 4)


def test_a_model_without_its_tokenizer_is_not_read() -> None:
    with pytest.raises(SteeringError, match=r"found 'PeftModelForCausalLM'; wrap the model with its tokenizer"):
        extract(adapted(), prompt_pairs(20))


def test_a_wrapper_without_a_transformers_model_or_with_two_is_refused() -> None:
    sliders = Sliders(a=random_vector())
    with pytest.raises(SteeringError, match="one transformers model in 'Linear', found none"):
        sliders.attach(nn.Linear(2, 2))
    with pytest.raises(SteeringError, match="one transformers model in 'ModuleList', found '0', '1'"):
        sliders.attach(nn.ModuleList([tiny_model(), tiny_model()]))
    with pytest.raises(SteeringError, match="or a wrapper of one, found 'str'"):
        sliders.attach("gpt2")  # type: ignore[arg-type]


def test_data_parallel_on_several_devices_is_refused() -> None:
    wrapper = nn.DataParallel(tiny_model())
    wrapper.device_ids = [0, 1]
    with pytest.raises(SteeringError, match="found DataParallel on 2 devices"):
        Sliders(a=random_vector()).attach(wrapper)


@pytest.mark.parametrize("config", [PromptTuningConfig, PrefixTuningConfig])
def test_virtual_tokens_are_refused(config: Any) -> None:
    wrapper = get_peft_model(tiny_model(), config(task_type="CAUSAL_LM", num_virtual_tokens=3))
    with pytest.raises(SteeringError, match="found prompt learning 'default'"):
        Sliders(a=random_vector()).attach(wrapper)


# Adapters that change.


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.set_adapter("other"),
        lambda model: model.merge_adapter(),
        lambda model: model.merge_and_unload(),
        lambda model: model.unload(),
        lambda model: model.base_model.disable_adapter_layers(),
        lambda model: (
            model.base_model.scale_layer("default", 2.0)
            if hasattr(model.base_model, "scale_layer")
            else [part.scale_layer(2.0) for part in model.modules() if hasattr(part, "scale_layer")]
        ),
    ],
)
@torch.inference_mode()
def test_adapters_that_are_switched_or_merged_after_attaching_are_noticed(change: Callable[[Any], object]) -> None:
    model = adapted()
    model.add_adapter("other", LORA)
    with Sliders(a=random_vector()).attach(model):
        model(input_ids=IDS)
        change(model)
        with pytest.raises(
            SteeringError, match=r"adapters as they were .* 'active: default \(scaling 4\), merged: none'"
        ):
            inner(model)(input_ids=IDS)


@torch.inference_mode()
def test_an_adapter_that_comes_after_attaching_is_noticed_and_one_that_is_back_is_fine() -> None:
    model = tiny_model()
    with Sliders(a=random_vector()).attach(model), pytest.raises(SteeringError, match="PEFT adapters as they were"):
        get_peft_model(model, LORA)(input_ids=IDS)
    wrapper = adapted()
    with Sliders(a=random_vector()).attach(wrapper) as dial:
        dial.set(a=1.0)
        steered = wrapper(input_ids=IDS).logits
        with wrapper.disable_adapter(), pytest.raises(SteeringError, match="found 'active: none, merged: none'"):
            wrapper(input_ids=IDS)
        assert torch.equal(wrapper(input_ids=IDS).logits, steered)


@pytest.mark.parametrize("export", [to_baked, to_peft])
def test_a_model_with_an_adapter_is_not_exported_without_it(export: Callable[..., None], tmp_path: Path) -> None:
    lm = LanguageModel(adapted(), tiny_tokenizer())
    with pytest.raises(SteeringError, match="without PEFT adapters beside them"):
        export(Sliders(a=random_vector()).axes["a"], tmp_path / "model", lm)


def test_heads_are_read_through_an_adapter_and_its_matrix_alone_is_refused() -> None:
    model = adapted()
    lm = LanguageModel(model, tiny_tokenizer())
    merged = LanguageModel(copy.deepcopy(model).merge_and_unload(), tiny_tokenizer())
    texts = ["Hi", "What is the tide?"]
    found, expected = (record(each, texts, hook_point="z") for each in (lm, merged))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(SteeringError, match="without PEFT adapters beside them"):
        projection_weight(output_projection(lm.blocks[0]))


# Continuous batching.

SMALL = ContinuousBatchingConfig(page_size=16, num_blocks=16, max_batch_tokens=64)


def batched(model: Any) -> Written:
    config = GenerationConfig(max_new_tokens=STEPS, do_sample=False, eos_token_id=-1, pad_token_id=0)
    outputs = model.generate_batch(ROWS, generation_config=config, continuous_batching_config=SMALL)
    return Written([output.generated_tokens for output in outputs.values()])


def test_continuous_batching_of_sliders_on_all_tokens_writes_what_generate_writes() -> None:
    model = tiny_model()
    with Sliders(a=random_vector()).attach(model) as dial:
        dial.set(a=1.0)
        expected = generate(Call(model, ROWS, "left", "dynamic", 0))
        assert batched(model).tokens == expected.tokens
    assert batched(model).tokens != expected.tokens
    assert "init_continuous_batching" not in vars(model)


@pytest.mark.parametrize("steering", [ANSWER, Steering("all", gated=True)])
def test_continuous_batching_is_refused_where_tokens_or_prompts_differ(steering: Steering) -> None:
    model = tiny_model()
    with pytest.raises(SteeringError, match="packs prompts into one row, found a choice of tokens, a gate"):
        written_under(model, lambda dial: batched(model), steering)
    with Sliders(a=random_vector()).attach(model) as dial:
        dial.set(a=[1.0, 2.0])
        with pytest.raises(SteeringError, match="or a value for each row"):
            batched(model)


# Loops and caches.


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
    assert_right(model, Written(tokens, torch.stack([torch.cat(logits) for logits in found])))


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
        pytest.raises(SteeringError, match="a cache that says how many tokens it holds, found 'tuple'"),
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
