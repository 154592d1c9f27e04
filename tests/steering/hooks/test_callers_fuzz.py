"""Whoever calls the model, each answer's logits are those of one slow pass, or a sentence says why not.

Draws of family, caller, cache, padding, tokens and gate; `TRIMTAB_CALLER_DRAWS=500` runs as many.
"""

import copy
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch
import transformers
from torch import nn
from transformers import PreTrainedModel

from steering import Sliders, SteeringError
from steering.models.wrappers import unwrapped
from tests.helpers import callers
from tests.helpers.callers import STEPS, Call, Written
from tests.helpers.slow_steering import Steering, answer_logits
from tests.helpers.tiny import _SIZES, _spread_weights, tiny_model

DRAWS = int(os.environ.get("TRIMTAB_CALLER_DRAWS", "200"))
CAUSAL = ("Llama", "Qwen3Moe", "GPT2", "Bloom", "Gemma3", "GptOss")
HYBRIDS = {
    "Lfm2": {
        "layer_types": ["conv", "full_attention"] * 2,
        "conv_L_cache": 3,
        "block_multiple_of": 16,
        "tie_word_embeddings": False,
    },
    "Qwen3Next": {
        "layer_types": ["linear_attention", "full_attention"] * 2,
        "head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "shared_expert_intermediate_size": 24,
    },
    "FalconH1": {
        "head_dim": 8,
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_n_groups": 1,
        "mamba_d_state": 8,
        "mamba_d_conv": 4,
        "mamba_expand": 1,
        "mamba_chunk_size": 8,
    },
}
TOKENS = ("all", "prompt", "generated", "answer", "answer:2", "last_prompt_token", "prompt_end:2", "from_token:3")
CALLERS: tuple[Callable[[Call], Written], ...] = (
    callers.generate,
    callers.sample,
    callers.beams,
    callers.assisted,
    callers.early_exit,
    callers.prompt_lookup,
    callers.chunked_prefill,
    callers.guided,
    callers.shared_prefix,
    callers.loop,
    callers.undeclared_loop,
    callers.pipeline,
    callers.compiled_generate,
    callers.data_parallel,
)
OF_ONE_ROW = (callers.assisted, callers.early_exit, callers.prompt_lookup, callers.shared_prefix)
WITH_A_CACHE = (*OF_ONE_ROW, callers.chunked_prefill, callers.guided)


@dataclass(frozen=True)
class Draw:
    """What is tried."""

    family: str
    caller: Callable[[Call], Written]
    cache: str
    padding: str
    steering: Steering
    values: list[float]
    rows: list[list[int]]
    adapter: bool
    seed: int

    @staticmethod
    def of(seed: int) -> "Draw":
        chance = random.Random(seed)
        caller = chance.choice(CALLERS)
        count = 1 if caller in OF_ONE_ROW else chance.randint(1, 3)
        rows = [[chance.randint(70, 95) for _ in range(chance.randint(4, 12))] for _ in range(count)]  # letters
        values = [chance.choice((1.0, -1.0, 0.5, 0.0)) for _ in rows]
        values = values if chance.random() < 0.5 else values[:1] * count
        loops = (callers.loop, callers.data_parallel)
        return Draw(
            family=chance.choice((*CAUSAL, *HYBRIDS)),
            caller=caller,
            cache="dynamic" if caller in WITH_A_CACHE else chance.choice(("dynamic", "static", "none")),
            padding=chance.choice(("left", "right")) if caller in loops else "left",
            steering=Steering(chance.choice(TOKENS), chance.random() < 0.3),
            values=values,
            rows=rows,
            adapter=chance.random() < 0.2,
            seed=seed,
        )

    @property
    def may_be_refused(self) -> bool:
        """Whether nobody can know the tokens: a draw that is refused otherwise is a fault."""
        tells = self.steering.tokens != "all" or self.steering.gated
        return (self.caller in (callers.undeclared_loop, callers.shared_prefix) and tells) or (
            self.caller is callers.chunked_prefill and self.steering.gated
        )


@cache
def model_of(family: str, adapter: bool) -> nn.Module:
    if adapter:
        return callers.with_adapter(unwrapped(model_of(family, False)))
    if family not in HYBRIDS:
        return tiny_model(family)
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**(_SIZES | HYBRIDS[family]))
    model: PreTrainedModel = getattr(transformers, f"{family}ForCausalLM")(config)
    _spread_weights(model)
    return model.eval()


def largest_difference(draw: Draw, model: PreTrainedModel, written: Written, values: list[float]) -> float:
    """Between what was written and the slow passes: of logits, of scores, or of the best logit and the chosen one."""
    found = []
    for row, (prompt, answer, value) in enumerate(zip(draw.rows, written.tokens, values, strict=True)):
        assert len(answer) == STEPS
        slow = answer_logits(model, draw.steering, value, prompt, answer)
        if written.logits is not None:
            found.append((written.logits[row] - slow).abs().max().item())
        elif written.scores is not None:
            score = slow.log_softmax(-1)[torch.arange(STEPS), answer].mean().item()
            found.append(abs(written.scores[row] - score))
        else:
            found.append((slow.max(-1).values - slow[torch.arange(STEPS), answer]).max().item())
    return max(found)


def outcome(draw: Draw) -> str:
    """`unable` where the bare model itself can't be called so, `refused`, or `right`."""
    wrapper = copy.deepcopy(model_of(draw.family, draw.adapter))  # early exit on GPT-2 leaves a model with two layers
    model = unwrapped(wrapper)
    called = wrapper if draw.adapter else model
    try:
        bare = draw.caller(Call(called, draw.rows, draw.padding, draw.cache, draw.seed))
        able = largest_difference(draw, model, bare, [0.0] * len(draw.rows)) < 1e-3
    except Exception:
        able = False
    if not able:
        return "unable"
    try:
        with Sliders(a=draw.steering.slider()).attach(wrapper) as dial:
            dial.set(a=draw.values if len(set(draw.values)) > 1 else draw.values[0])
            written = draw.caller(Call(called, draw.rows, draw.padding, draw.cache, draw.seed, dial))
    except SteeringError:
        assert draw.may_be_refused
        return "refused"
    assert largest_difference(draw, model, written, draw.values) < 1e-3
    return "right"


@pytest.mark.parametrize("part", range(4))
def test_no_caller_is_steered_otherwise_in_silence(part: int) -> None:
    found = [outcome(Draw.of(seed)) for seed in range(part, DRAWS, 4)]
    assert found.count("right") > len(found) / 2
