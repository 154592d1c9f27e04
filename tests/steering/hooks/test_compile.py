"""A compiled model is steered like a plain one, and a slider that moves compiles nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, StaticCache

from steering import Sliders
from tests.helpers.callers import Call, loop
from tests.helpers.slow_steering import Steering, answer_logits
from tests.helpers.tiny import random_vector, tiny_model

pytestmark = pytest.mark.slow

IDS = torch.randint(5, 270, (2, 6), generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@torch.inference_mode()
def logits(model: PreTrainedModel, forward: Callable[..., Any], ids: Tensor = IDS) -> Tensor:
    """Of a prompt and four greedy steps on a static cache."""
    cache = StaticCache(config=model.config, max_cache_len=16)
    step, found = ids, []
    for _ in range(5):
        found.append(forward(input_ids=step, past_key_values=cache, use_cache=True).logits[:, -1:])
        step = found[-1].argmax(-1)
    return torch.cat(found, dim=1)


def assert_same(compiled: Tensor, plain: Tensor) -> None:
    """As far as another attention kernel agrees: transformers chooses one with an explicit mask when it compiles."""
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_slider_that_moves_recompiles_nothing(dtype: torch.dtype) -> None:
    model = tiny_model().to(dtype)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with Sliders(a=random_vector(1), b=random_vector(2, layers=(0, 1, 2, 3))).attach(model) as dial:
        dial.set(a=1.0, b=-0.5)
        logits(model, compiled)
        with torch._dynamo.config.patch(error_on_recompile=True):
            for a, b in ((2.0, 1.0), (0.0, 0.0), (-1.0, 0.3)):
                dial.set(a=a, b=b)
                assert_same(logits(model, compiled), logits(model, model))


def test_generated_code_agrees_with_the_plain_model() -> None:
    model, ids = tiny_model(), IDS[:, :1]
    compiled = torch.compile(model, fullgraph=True)
    bare = logits(model, model, ids)
    with Sliders(a=random_vector()).attach(model) as dial:
        for value in (1.0, -2.0):
            dial.set(a=value)
            steered = logits(model, compiled, ids)
            assert_same(steered, logits(model, model, ids))
            assert not torch.allclose(steered, bare, atol=0.1)


def test_attaching_and_detaching_are_seen_by_code_compiled_before() -> None:
    model = tiny_model()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    bare = logits(model, compiled)
    for layers in ((1, 2), (3,)):
        with Sliders(a=random_vector(layers=layers)).attach(model) as dial:
            dial.set(a=1.0)
            steered = logits(model, compiled)
            assert_same(steered, logits(model, model))
            assert not torch.allclose(steered, bare, atol=0.1)
            dial.set(a=0.0)
            assert torch.equal(logits(model, compiled), bare)
        assert torch.equal(logits(model, compiled), bare)


@pytest.mark.parametrize(
    ("in_place", "steering"),
    [(False, Steering("answer:2", gated=False)), (True, Steering("generated", gated=True))],
)
def test_token_choices_and_gates_hold_in_compiled_models(in_place: bool, steering: Steering) -> None:
    model, rows = tiny_model(), [[10, 20, 30, 40, 50], [7, 8, 9, 10, 11, 12, 13, 14]]
    wrapper: Any = model if in_place else torch.compile(model, backend="eager")
    if in_place:
        model.compile(backend="eager")
    with Sliders(a=steering.slider()).attach(wrapper) as dial:
        dial.set(a=1.0)
        written = loop(Call(model, rows, "left", "dynamic", 0, dial), wrapper)
    assert written.logits is not None
    for row, answer, found in zip(rows, written.tokens, written.logits, strict=True):
        assert_same(found, answer_logits(tiny_model(), steering, 1.0, row, answer))
