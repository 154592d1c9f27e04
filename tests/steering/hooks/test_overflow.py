"""Values at which a model's numbers overflow are refused in a sentence: they would leave empty answers."""

from pathlib import Path

import pytest
import torch

from steering import LanguageModel, Push, Slider, Sliders, SteeringError, sweep
from steering.formats.baked import to_baked
from steering.formats.fixed_sliders import FixedSliders
from steering.formats.npz import to_npz
from steering.formats.peft import to_peft
from tests.helpers.forward_passes import logits
from tests.helpers.tiny import random_vector, tiny_lm

TOO_LONG = "stay shorter than 1.8e\\+19"
OVERFLOWS = "leave the model's states in torch.{} finite, found {{'a': "
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def model_in(dtype: str, family: str = "Llama") -> LanguageModel:
    lm = tiny_lm(family)
    lm.model.to(DTYPES[dtype])
    return lm


@pytest.mark.parametrize("value", [1e38, -1e38, 1e20])
def test_a_value_whose_push_float32_cant_square_moves_nothing(value: float) -> None:
    lm = tiny_lm()
    bare = logits(lm)
    with Sliders(a=random_vector(), b=random_vector(2)).attach(lm) as dial:
        with pytest.raises(SteeringError, match=TOO_LONG):
            dial.set(a=value)
        with pytest.raises(SteeringError, match=TOO_LONG):
            dial.set(b=1.0, a=[0.0, value, 1.0])
        assert dial.settings == {"a": 0.0, "b": 0.0}
        assert torch.equal(logits(lm), bare)


@pytest.mark.parametrize("family", ["Llama", "GPT2", "Gemma3"])
@pytest.mark.parametrize("tokens", ["all", "generated", "last_prompt_token"])
@pytest.mark.parametrize(
    ("dtype", "value"), [("float32", 1e18), ("bfloat16", 1e18), ("float16", 1e5), ("float16", 2e4)]
)
def test_states_that_overflow_are_refused(dtype: str, value: float, tokens: str, family: str) -> None:
    lm = model_in(dtype, family)
    bare = lm.generate(["Hi"], 4)
    with Sliders(a=random_vector(layers=(0, 1, 2, 3), scale=2.0)).attach(lm, tokens=tokens) as dial:
        dial.set(a=value)
        with pytest.raises(SteeringError, match=OVERFLOWS.format(dtype)):
            lm.generate(["Hi"], 4)
        dial.set(a=0.0)
        assert lm.generate(["Hi"], 4) == bare


def test_operations_that_multiply_are_refused_where_they_overflow() -> None:
    lm = model_in("float16")
    slider = Slider((Push(random_vector(), intervention="scale_component"),))
    with Sliders(a=slider).attach(lm) as dial:
        dial.set(a=1e9)
        with pytest.raises(SteeringError, match=OVERFLOWS.format("float16")):
            logits(lm)


def test_large_values_that_fit_are_left_alone() -> None:
    lm = tiny_lm()
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=1e16)
        assert logits(lm).isfinite().all()


def test_sweeps_and_evaluations_say_so() -> None:
    lm, sliders = tiny_lm(), Sliders(a=random_vector())
    for value, sentence in ((1e38, TOO_LONG), (0.9e18, OVERFLOWS.format("float32"))):
        with pytest.raises(SteeringError, match=sentence):
            sweep(lm, sliders, ["Hi", "Who?"], [{}, {"a": value}], max_new_tokens=4, progress=False)


def test_a_model_that_overflows_by_itself_is_not_blamed_on_sliders_at_0() -> None:
    lm = tiny_lm()
    lm.model.lm_head.weight.data.fill_(torch.nan)
    lm.model.model.embed_tokens.weight.data.fill_(torch.nan)
    with Sliders(a=random_vector()).attach(lm):
        assert logits(lm).isnan().all()


def test_exports_write_no_infinite_number(tmp_path: Path) -> None:
    vector = random_vector()
    setting = FixedSliders({"a": vector}, {"a": 1e38}, model_type="llama")
    with pytest.raises(SteeringError, match=TOO_LONG):
        to_npz(setting, tmp_path / "out.npz")
    for export in (to_baked, to_peft):
        with pytest.raises(SteeringError, match=r"whose pushes torch.float16 can hold, found {'a': 100000.0}"):
            export(FixedSliders({"a": vector}, {"a": 1e5}), tmp_path / "folder", model_in("float16"))
    assert not [*tmp_path.iterdir()]
