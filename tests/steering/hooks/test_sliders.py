"""What the hooks must do exactly: nothing at 0, `h + c·v` elsewhere, nothing left behind."""

import threading
from typing import Any

import pytest
import torch

from steering import Dial, LanguageModel, Push, Slider, Sliders, SteeringError, SteeringVector
from tests.helpers.forward_passes import IDS, BlockOutputs, hook_count, logits
from tests.helpers.tiny import FAMILIES, random_vector, tiny_lm, tiny_model


@pytest.mark.parametrize("family", FAMILIES)
def test_sliders_at_zero_leave_the_logits_bitwise_equal(family: str) -> None:
    lm = tiny_lm(family)
    bare = logits(lm)
    with Sliders(a=random_vector(1), b=random_vector(2, layers=(0, 3))).attach(lm) as dial:
        assert torch.equal(logits(lm), bare)
        dial.set(a=1.0)
        assert not torch.equal(logits(lm), bare)
        dial.set(a=0.0)
        assert torch.equal(logits(lm), bare)
    assert torch.equal(logits(lm), bare)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_block_gives_its_output_plus_the_coefficient_times_the_vector(family: str) -> None:
    lm = tiny_lm(family)
    vector = random_vector(layers=(2,))
    with BlockOutputs(lm) as bare:
        logits(lm)
    with Sliders(a=vector).attach(lm) as dial, BlockOutputs(lm) as steered:
        dial.set(a=-1.7)
        logits(lm)
    assert steered.kinds == bare.kinds
    for layer in (0, 1):
        assert torch.equal(steered.states[layer], bare.states[layer])
    assert torch.equal(steered.states[2], bare.states[2] + torch.tensor(-1.7) * vector[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_addition_is_rounded_once_in_the_dtype_of_the_model(dtype: torch.dtype) -> None:
    lm = LanguageModel(tiny_model().to(dtype), tiny_lm().tokenizer)
    vector = random_vector(layers=(1,))
    with BlockOutputs(lm) as bare:
        logits(lm)
    with Sliders(a=vector).attach(lm) as dial, BlockOutputs(lm) as steered:
        dial.set(a=0.3)
        logits(lm)
    assert steered.states[1].dtype == dtype
    assert torch.equal(steered.states[1], bare.states[1] + (torch.tensor(0.3) * vector[1]).to(dtype))


def test_a_zero_coefficient_keeps_even_the_sign_of_zeros() -> None:
    lm = tiny_lm()
    negative_zero = torch.full((1, 1, 32), -0.0)
    vector = SteeringVector(torch.randn(4, 32), recommended_layers=(1,))
    with Sliders(a=vector).attach(lm) as dial:
        dial.set(a=[0.0, 1.0])
        hook, _overflow = lm.blocks[1]._forward_hooks.values()
        output = hook(lm.blocks[1], (), negative_zero.repeat(2, 1, 1))
    assert torch.equal(output[0].signbit(), torch.ones(1, 32, dtype=torch.bool))
    assert torch.equal(output[1, 0], vector[1])


def test_axes_add_up_and_each_moves_its_own_layers() -> None:
    lm = tiny_lm()
    a, b = random_vector(1, layers=(1, 2)), random_vector(2, layers=(2, 3))
    with BlockOutputs(lm) as bare:
        logits(lm)
    with Sliders(a=a, b=b).attach(lm) as dial, BlockOutputs(lm) as steered:
        dial.set(a=2.0)
        dial.set(b=-0.5)  # a stays
        assert dial.settings == {"a": 2.0, "b": -0.5}
        logits(lm)
    assert torch.equal(steered.states[1], bare.states[1] + 2.0 * a[1])
    with BlockOutputs(lm) as reference, Sliders(sum=a.select([1]) * 2.0).attach(lm) as dial:
        dial.set(sum=1.0)
        logits(lm)
    assert torch.equal(steered.states[2], reference.states[2] + (2.0 * a[2] + -0.5 * b[2]))


def test_the_strength_scales_the_slider() -> None:
    lm = tiny_lm()
    vector = random_vector(layers=(1,))
    with Sliders(a=Slider((Push(vector, strength=0.5),))).attach(lm) as dial:
        dial.set(a=2.0)
        halved = logits(lm)
    with Sliders(a=vector).attach(lm) as dial:
        dial.set(a=1.0)
        assert torch.equal(logits(lm), halved)


def test_each_row_moves_by_its_own_coefficient() -> None:
    lm = tiny_lm()
    sliders = Sliders(a=random_vector(1), b=random_vector(2))
    values = [0.0, 0.5, -2.0]
    with sliders.attach(lm) as dial:
        dial.set(a=values, b=1.0)
        together = logits(lm)
        for row, value in enumerate(values):
            dial.set(a=value)
            torch.testing.assert_close(logits(lm, IDS[row : row + 1])[0], together[row], rtol=1e-5, atol=1e-5)
            assert torch.equal(logits(lm, IDS)[row], together[row])


def test_a_row_at_zero_is_bitwise_bare_beside_steered_rows() -> None:
    lm = tiny_lm()
    bare = logits(lm)
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=[1.0, 0.0, -3.0])
        mixed = logits(lm)
    assert torch.equal(mixed[1], bare[1])
    assert not torch.equal(mixed[0], bare[0])


def raise_after_moving(dial: Dial) -> None:
    dial.set(a=1.0)
    raise KeyError


def test_no_hook_is_left_after_detach_also_when_the_body_raised() -> None:
    lm = tiny_lm()
    bare, hooks, generate = logits(lm), hook_count(lm), lm.model.generate
    for tokens in ("all", "generated"):
        with pytest.raises(KeyError), Sliders(a=random_vector()).attach(lm, tokens=tokens) as dial:
            raise_after_moving(dial)
        assert hook_count(lm) == hooks
        assert lm.model.generate == generate
        assert torch.equal(logits(lm), bare)
    dial.detach()  # once more does no harm


def test_nested_dials_add_up_and_leave_in_any_order() -> None:
    lm = tiny_lm()
    bare, hooks = logits(lm), hook_count(lm)
    with Sliders(a=random_vector(1, layers=(1,))).attach(lm) as outer:
        outer.set(a=1.0)
        one = logits(lm)
        with Sliders(a=random_vector(2, layers=(3,))).attach(lm) as inner:
            inner.set(a=1.0)
            both = logits(lm)
        assert torch.equal(logits(lm), one)
        assert not torch.equal(both, one)
    first, second = (Sliders(a=random_vector(seed)).attach(lm, tokens="prompt") for seed in (1, 2))
    first.detach()
    lm.model.generate(IDS, max_new_tokens=2, do_sample=False)
    second.detach()
    assert "generate" not in vars(lm.model)
    assert hook_count(lm) == hooks
    assert torch.equal(logits(lm), bare)


def test_a_generate_of_the_users_own_is_put_back() -> None:
    lm = tiny_lm()
    own = lambda *args, **kwargs: type(lm.model).generate(lm.model, *args, **kwargs)  # noqa: E731
    lm.model.generate = own
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=[1.0, -1.0])
        lm.generate(["a", "b"], 2, num_beams=2)
    assert lm.model.generate is own


def test_two_threads_steer_two_models_without_meeting() -> None:
    lms = [tiny_lm(seed=seed) for seed in (0, 1)]
    sliders = [Sliders(a=random_vector(seed)) for seed in (3, 4)]
    alone = []
    for lm, axis in zip(lms, sliders, strict=True):
        with axis.attach(lm, tokens="generated") as dial:
            dial.set(a=2.0)
            alone.append(lm.generate(["one", "two"], 12))
    results: list[list[list[str]]] = [[], []]
    barrier = threading.Barrier(2)

    def run(index: int) -> None:
        barrier.wait()
        for _ in range(5):
            with sliders[index].attach(lms[index], tokens="generated") as dial:
                dial.set(a=2.0)
                results[index].append(lms[index].generate(["one", "two"], 12))

    threads = [threading.Thread(target=run, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[alone[0]] * 5, [alone[1]] * 5]


def test_a_plain_transformers_model_is_steered_the_same() -> None:
    lm = tiny_lm()
    sliders = Sliders(a=random_vector())
    with sliders.attach(lm) as dial:
        dial.set(a=1.0)
        expected = logits(lm)
    with sliders.attach(lm.model) as dial:
        dial.set(a=1.0)
        assert torch.equal(logits(lm), expected)


def test_gradients_pass_through_a_steered_model() -> None:
    lm = tiny_lm()
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=1.0)
        lm.model(input_ids=IDS, labels=IDS).loss.backward()
    assert lm.model.get_input_embeddings().weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"saftey": 1.0}, "no axis 'saftey'; the sliders are 'a', 'b'"),
        ({"a": float("nan")}, "finite numbers for slider 'a', found nan"),
        ({"a": "much"}, "a number or a list of numbers for slider 'a', found 'much'"),
        ({"a": []}, "finite numbers for slider 'a'"),
        ({"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]}, r"one number of rows .* found \{'a': 2, 'b': 3\}"),
    ],
)
def test_a_bad_value_is_refused_and_no_slider_moves(values: dict[str, Any], sentence: str) -> None:
    lm = tiny_lm()
    with Sliders(a=random_vector(1), b=random_vector(2)).attach(lm) as dial:
        dial.set(a=0.25)
        before = logits(lm)
        with pytest.raises(SteeringError, match=sentence):
            dial.set(**values)
        assert dial.settings == {"a": 0.25, "b": 0.0}
        assert torch.equal(logits(lm), before)


def test_coefficients_for_another_number_of_rows_are_refused() -> None:
    lm = tiny_lm()
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=[1.0, 2.0])
        with pytest.raises(SteeringError, match="the batch's 3 rows, found 2"):
            logits(lm)


def test_sliders_need_axes_that_are_vectors_or_sliders() -> None:
    with pytest.raises(SteeringError, match="at least one axis"):
        Sliders()
    with pytest.raises(SteeringError, match="SteeringVector or Slider for axis 'a', found 'Tensor'"):
        Sliders(a=torch.ones(4, 32))  # type: ignore[arg-type]


def test_sliders_are_a_mapping_of_names_to_sliders() -> None:
    vector, slider = random_vector(1), Slider((Push(random_vector(2), strength=0.5),), range=(0.0, 2.0))
    sliders = Sliders(a=vector, b=slider)
    assert list(sliders) == ["a", "b"]
    assert len(sliders) == 2
    assert sliders["b"] is slider
    assert dict(sliders.items()) == sliders.axes
    (push,) = sliders["a"].pushes
    assert push.vector is vector
    assert sliders["a"].summary() == Slider((Push(vector),)).summary()
    assert "c" not in sliders
