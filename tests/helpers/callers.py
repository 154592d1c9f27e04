"""The ways in which people let a model answer: each gives the rows' new tokens, and the logits they came from."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel, StaticCache, TextGenerationPipeline

from steering.hooks.dial import Dial
from tests.helpers.slow_steering import Steering, answer_logits
from tests.helpers.tiny import tiny_model, tiny_tokenizer

STEPS = 4


@dataclass(frozen=True)
class Call:
    """One batch to answer."""

    model: PreTrainedModel
    rows: list[list[int]]
    padding: str
    cache: str
    seed: int
    dial: Dial | None = None

    @property
    def inputs(self) -> dict[str, Tensor]:
        width = max(map(len, self.rows))
        gaps = [width - len(row) for row in self.rows]
        left = self.padding == "left"
        ids = [[0] * gap + row if left else row + [0] * gap for gap, row in zip(gaps, self.rows, strict=True)]
        mask = [[0] * gap + [1] * (width - gap) for gap in gaps]
        mask = mask if left else [line[::-1] for line in mask]
        return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


@dataclass(frozen=True)
class Written:
    """What came of it."""

    tokens: list[list[int]]
    logits: Tensor | None = None
    """(rows, steps, vocabulary), where the caller shows them."""
    scores: list[float] | None = None
    """The rows' mean log-probabilities a token, where the caller shows them."""


def generate(call: Call, model: Any = None, **options: Any) -> Written:
    model = call.model if model is None else model
    caches: dict[str, dict[str, Any]] = {
        "dynamic": {},
        "static": {"cache_implementation": "static", "disable_compile": True},
        "none": {"use_cache": False},
    }
    settings = {"do_sample": False, "max_new_tokens": STEPS, "eos_token_id": None, "pad_token_id": 0}
    settings |= caches[call.cache] | {"output_logits": True, "return_dict_in_generate": True} | options
    inputs = call.inputs
    torch.manual_seed(call.seed)
    output = model.generate(**inputs, **settings)
    new = output.sequences[:, inputs["input_ids"].shape[1] :].tolist()
    return Written(new, torch.stack(output.logits, dim=1))


def sample(call: Call) -> Written:
    return generate(call, do_sample=True, temperature=3.0)


def beams(call: Call) -> Written:
    torch.manual_seed(call.seed)
    options = {"num_beams": 3, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": STEPS, "do_sample": False}
    inputs = call.inputs
    output = call.model.generate(
        **inputs, **options, use_cache=call.cache != "none", output_scores=True, return_dict_in_generate=True
    )
    return Written(
        output.sequences[:, inputs["input_ids"].shape[1] :].tolist(), scores=output.sequences_scores.tolist()
    )


def assisted(call: Call) -> Written:
    return generate(call, assistant_model=tiny_model(seed=7))


def early_exit(call: Call) -> Written:
    return generate(call, assistant_early_exit=2)


def prompt_lookup(call: Call) -> Written:
    return generate(call, prompt_lookup_num_tokens=2)


def chunked_prefill(call: Call) -> Written:
    return generate(call, prefill_chunk_size=3)


def guided(call: Call) -> Written:
    """Classifier-free guidance runs other prompts through the model in between; the raw logits are the prompts' own."""
    return generate(call, guidance_scale=1.5)


def shared_prefix(call: Call) -> Written:
    """The first tokens of a single prompt pass before, into a cache that is copied."""
    cache = DynamicCache(config=call.model.config)
    with torch.inference_mode():
        call.model(input_ids=call.inputs["input_ids"][:, :3], past_key_values=cache, use_cache=True)
    return generate(call, past_key_values=copy.deepcopy(cache))


def loop(call: Call, forward: Callable[..., Any] | None = None) -> Written:
    """One's own loop, with positions where the model takes them."""
    forward = call.model if forward is None else forward
    inputs = call.inputs
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    cache: Any = None
    if call.cache == "dynamic":
        cache = DynamicCache(config=call.model.config)
    if call.cache == "static":
        cache = StaticCache(config=call.model.config, max_cache_len=64)
    counts = "Bloom" not in type(call.model).__name__
    found, step = [], ids
    declared = nullcontext()
    if call.dial is not None and call.cache == "none":
        declared = call.dial.prompt_lengths([len(row) for row in call.rows])
    with torch.inference_mode(), declared:
        for _ in range(STEPS):
            whole = ids if cache is None else step
            positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -whole.shape[1] :]
            extra = {"position_ids": positions} if counts else {}
            output = forward(
                input_ids=whole, attention_mask=mask, past_key_values=cache, use_cache=cache is not None, **extra
            )
            last = mask.sum(1) - 1 if call.padding == "right" and whole is ids and not found else torch.tensor(-1)
            if call.padding == "right" and cache is None:
                last = torch.tensor([int(row.nonzero()[-1]) for row in mask])
            found.append(output.logits[torch.arange(len(ids)), last.expand(len(ids))])
            step = found[-1].argmax(-1, keepdim=True)
            ids, mask = torch.cat([ids, step], dim=1), torch.cat([mask, torch.ones_like(step)], dim=1)
    return Written(ids[:, -STEPS:].tolist(), torch.stack(found, dim=1))


def undeclared_loop(call: Call) -> Written:
    """A loop that runs the whole sequence again and says nothing of it."""
    return loop(Call(call.model, call.rows, call.padding, "none", call.seed))


def pipeline(call: Call) -> Written:
    tokenizer = tiny_tokenizer()
    tokenizer.padding_side = "left"
    pipe = TextGenerationPipeline(model=call.model, tokenizer=tokenizer)
    options = {"do_sample": False, "max_new_tokens": STEPS, "eos_token_id": None, "pad_token_id": 0}
    texts = [tokenizer.decode(row) for row in call.rows]
    answers = pipe(texts, batch_size=len(texts), return_tensors=True, **options)
    return Written([answer[0]["generated_token_ids"][-STEPS:] for answer in answers])


def compiled_generate(call: Call) -> Written:
    return generate(call, torch.compile(call.model, backend="eager"))


def data_parallel(call: Call) -> Written:
    return loop(call, nn.DataParallel(call.model))


def with_adapter(model: PreTrainedModel) -> nn.Module:
    settings = {"target_modules": "all-linear", "exclude_modules": ["out_proj", "conv1d"]}  # Mamba's can't have any
    config = LoraConfig(task_type="CAUSAL_LM", r=2, init_lora_weights=False, **settings)
    return get_peft_model(copy.deepcopy(model), config).eval()


ROWS = [[10, 20, 30, 40, 50], [7, 8, 9, 10, 11, 12, 13, 14]]


def assert_right(model: PreTrainedModel, written: Written, steering: Steering) -> None:
    """The answers to `ROWS` at slider value 1: equal to slow passes, each token moved by hand, and unlike bare ones."""
    assert written.logits is not None
    for prompt, answer, logits in zip(ROWS, written.tokens, written.logits, strict=True):
        slow = answer_logits(model, steering, 1.0, prompt, answer)
        torch.testing.assert_close(logits, slow, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(slow, answer_logits(model, steering, 0.0, prompt, answer), atol=1e-2)
