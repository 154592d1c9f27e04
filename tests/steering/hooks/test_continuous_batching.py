"""transformers' `generate_batch`, which packs prompts into one row: right on all tokens, refused where they differ."""

from typing import Any

import pytest
from transformers import ContinuousBatchingConfig, GenerationConfig

from steering import Sliders, SteeringError
from tests.helpers.callers import ROWS, STEPS, Call, Written, generate
from tests.helpers.slow_steering import Steering
from tests.helpers.tiny import random_vector, tiny_model

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


@pytest.mark.parametrize("steering", [Steering("answer", gated=False), Steering("all", gated=True)])
def test_continuous_batching_is_refused_where_tokens_or_prompts_differ(steering: Steering) -> None:
    model = tiny_model()
    with (
        Sliders(a=steering.slider()).attach(model),
        pytest.raises(SteeringError, match="packs prompts into one row, found a choice of tokens, a gate"),
    ):
        batched(model)
    with Sliders(a=random_vector()).attach(model) as dial:
        dial.set(a=[1.0, 2.0])
        with pytest.raises(SteeringError, match="or a value for each row"):
            batched(model)
