"""Every operation is what its formula says, on random tensors, and in a model through the hooks."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from steering import LanguageModel, Push, Slider, Sliders, SteeringError, SteeringVector
from steering.interventions import INTERVENTIONS, tensor_names
from steering.interventions.ablate import ablate
from steering.interventions.add_keeping_norm import add_keeping_norm
from steering.interventions.add_mapped import add_mapped
from steering.interventions.couple import couple
from steering.interventions.lower_projection import lower_projection
from steering.interventions.rotate import angle_in_plane, rotate
from steering.interventions.scale_component import scale_component
from steering.interventions.set_projection import set_projection
from tests.helpers.forward_passes import IDS, BlockOutputs, logits
from tests.helpers.tiny import LAYERS, WIDTH, random_vector, tiny_lm

DTYPES = [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]
each_dtype = pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)


def tensors(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """(states, a direction, another)."""
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(3, 5, 64, generator=generator, dtype=torch.float64)
    r, s = (4 * torch.randn(2, 64, generator=generator, dtype=torch.float64)).unbind()
    return h.to(dtype), r, s


def close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found.double(), expected.double(), rtol=tolerance, atol=tolerance * 4)


@each_dtype
def test_set_projection_sets_it_and_leaves_the_rest(dtype: torch.dtype, tolerance: float) -> None:
    h, r, _ = tensors(dtype)
    axis = normalize(r, dim=0)
    after = set_projection(h, r, 2.5)
    assert after.dtype == dtype
    close(after.double() @ axis, torch.full((3, 5), 2.5), 4 * tolerance)
    close(ablate(after, r), ablate(h, r), tolerance)


@each_dtype
def test_aces_formula_is_a_set_projection(dtype: torch.dtype, tolerance: float) -> None:
    """h - r̂r̂ᵀh + (h_ref·r̂) r̂ + c·v."""
    h, r, reference = tensors(dtype)
    axis, c = normalize(r, dim=0), -0.3
    wide = h.double()
    expected = wide - (wide @ axis)[..., None] * axis + (reference @ axis) * axis + c * r
    close(set_projection(h, r, float(reference @ axis + c * r.norm())), expected, tolerance)


@each_dtype
def test_norm_preserving_addition_preserves_the_norm_and_points_where_addition_does(
    dtype: torch.dtype, tolerance: float
) -> None:
    h, r, _ = tensors(dtype)
    after = add_keeping_norm(h, 1.3 * r)
    assert after.dtype == dtype
    close(after.double().norm(dim=-1), h.double().norm(dim=-1), tolerance)
    close(cosine_similarity(after.double(), h.double() + 1.3 * r, dim=-1), torch.ones(3, 5), tolerance)


@each_dtype
@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi / 2, -2.5])
def test_rotation_reaches_its_angle_keeps_the_norm_and_what_is_outside_the_plane(
    angle: float, dtype: torch.dtype, tolerance: float
) -> None:
    h, r, s = tensors(dtype)
    after = rotate(h, r, s, angle)
    assert after.dtype == dtype
    close(after.double().norm(dim=-1), h.double().norm(dim=-1), tolerance)
    reached = angle_in_plane(after.double(), r, s)
    close(torch.cos(reached - angle), torch.ones(3, 5, 1), 5 * tolerance)
    basis = torch.linalg.qr(torch.stack([r, s], dim=1)).Q
    outside = torch.eye(64, dtype=torch.float64) - basis @ basis.T
    close(after.double() @ outside, h.double() @ outside, tolerance)


def test_adaptive_rotation_only_turns_states_along_the_direction() -> None:
    h, r, s = tensors(torch.float32)
    after = rotate(h, r, s, 1.0, adaptive=True)
    along = (h.double() @ r) > 0
    assert along.any()
    assert (~along).any()
    assert torch.equal(after[~along], h[~along])
    torch.testing.assert_close(after[along], rotate(h, r, s, 1.0)[along])


@each_dtype
def test_scaling_multiplies_the_component_and_leaves_the_rest(dtype: torch.dtype, tolerance: float) -> None:
    h, r, _ = tensors(dtype)
    after = scale_component(h, r, -2.0)
    close(after.double() @ normalize(r, dim=0), -2.0 * (h.double() @ normalize(r, dim=0)), 4 * tolerance)
    close(ablate(after, r), ablate(h, r), tolerance)
    close(scale_component(h, r, 0.0), ablate(h, r), tolerance)


@each_dtype
def test_lowering_leaves_nothing_above_the_ceiling_and_everything_below_it(
    dtype: torch.dtype, tolerance: float
) -> None:
    h, r, _ = tensors(dtype)
    axis = normalize(r, dim=0)
    before = h.double() @ axis
    ceiling = before.median().item()
    after = lower_projection(h, r, ceiling)
    assert after.dtype == dtype
    above = before > ceiling
    assert above.any()
    assert torch.equal(after[~above], h[~above])
    close((after.double() @ axis)[above], torch.full_like(before[above], ceiling), tolerance)
    close(ablate(after, r), ablate(h, r), tolerance)
    halfway = lower_projection(h, r, ceiling, 0.5).double() @ axis
    close(halfway[above], ((before + ceiling) / 2)[above], tolerance)


@each_dtype
def test_mapped_addition_is_the_rank_one_map(dtype: torch.dtype, tolerance: float) -> None:
    h, r, w = tensors(dtype)
    expected = h.double() + 0.1 * h.double() @ torch.outer(r, w).T
    close(add_mapped(h, r, w, 0.1), expected, 4 * tolerance)


@each_dtype
def test_coupling_makes_one_readout_the_other_and_leaves_the_rest(dtype: torch.dtype, tolerance: float) -> None:
    h, r, w = tensors(dtype)
    axis = torch.nn.functional.normalize(r.double(), dim=0)
    reader, center = w.double() / w.double().norm(), h.double().mean((0, 1))
    from_center = h.double() - center
    expected = h.double() + 0.5 * (from_center @ reader - from_center @ axis).unsqueeze(-1) * axis
    close(couple(h, r, reader, center, 0.5), expected, 4 * tolerance)
    after = couple(h, r, reader, center)
    close((after.double() - center) @ axis, from_center @ reader, 8 * tolerance)
    close(ablate(after, r), ablate(h, r), 4 * tolerance)


# Through the hooks.

TENSOR = torch.randn(LAYERS, WIDTH, generator=torch.Generator().manual_seed(9))
"""What every intervention gets that takes a tensor besides the direction."""


def push_of(intervention: str, **fields: Any) -> Push:
    tensors = dict.fromkeys(tensor_names(intervention), TENSOR)
    return Push(random_vector(layers=(2,)), intervention=intervention, tensors=tensors, **fields)


def slider_with(intervention: str, **fields: Any) -> Slider:
    return Slider((push_of(intervention, **fields),))


def at_block_2(lm: LanguageModel, slider: Slider, value: Any, **options: str) -> tuple[Tensor, Tensor]:
    """(bare states, steered states) after block 2."""
    with BlockOutputs(lm) as bare:
        logits(lm)
    with Sliders(a=slider).attach(lm, **options) as dial, BlockOutputs(lm) as steered:
        dial.set(a=value)
        logits(lm)
    assert torch.equal(bare.states[1], steered.states[1])
    return bare.states[2], steered.states[2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("intervention", INTERVENTIONS)
def test_every_row_moves_as_the_function_says_and_a_row_at_zero_stays(intervention: str, dtype: torch.dtype) -> None:
    lm = tiny_lm()
    lm.model.to(dtype)
    push = push_of(intervention, strength=0.5)
    bare, steered = at_block_2(lm, Slider((push,)), [0.0, 1.0, -1.5])
    for row, x in ((1, 0.5), (2, -0.75)):
        one = bare[row : row + 1]
        expected = INTERVENTIONS[intervention](one, torch.full((1, 1, 1), x), push.vector[2], **push.tensors_at(2))
        torch.testing.assert_close(steered[row : row + 1], expected)
        nothing = (intervention in ("ablate", "add_above") and x < 0) or intervention in (
            "rotate_adaptive",
            "lower_projection",
        )
        assert nothing or not torch.allclose(steered[row], bare[row])
    assert torch.equal(steered[0], bare[0])


@pytest.mark.parametrize("intervention", INTERVENTIONS)
def test_at_zero_and_after_detaching_the_logits_are_bitwise_the_bare_ones(intervention: str) -> None:
    lm = tiny_lm()
    bare = logits(lm)
    with Sliders(a=slider_with(intervention), b=random_vector(3)).attach(lm) as dial:
        assert torch.equal(logits(lm), bare)
        dial.set(a=0.7)
        assert not torch.equal(logits(lm), bare)
    assert torch.equal(logits(lm), bare)


def test_value_one_of_each_slider_reaches_its_end() -> None:
    lm = tiny_lm()
    direction = random_vector()[2]
    axis = normalize(direction, dim=0)
    assert (at_block_2(lm, slider_with("ablate"), 1.0)[1] @ axis).abs().max() < 1e-4
    assert (at_block_2(lm, slider_with("scale_component"), -1.0)[1] @ axis).abs().max() < 1e-4
    for value in (1.0, -1.0):
        readout = at_block_2(lm, slider_with("set_projection"), value)[1] @ axis
        expected = (TENSOR[2] @ axis + value * direction.norm()).expand_as(readout)
        torch.testing.assert_close(readout, expected, rtol=1e-4, atol=1e-4)
        bare, turned = at_block_2(lm, slider_with("rotate"), value)
        angle = angle_in_plane(turned, direction, TENSOR[2])
        torch.testing.assert_close(angle.cos(), torch.full_like(angle, value), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(turned.norm(dim=-1), bare.norm(dim=-1), rtol=1e-5, atol=1e-5)


def test_half_way_a_rotation_has_gone_half_the_way() -> None:
    lm = tiny_lm()
    bare, turned = at_block_2(lm, slider_with("rotate"), 0.5)
    before, after = (angle_in_plane(h, random_vector()[2], TENSOR[2]) for h in (bare, turned))
    torch.testing.assert_close(after, before / 2, rtol=1e-3, atol=1e-3)


def test_an_intervention_keeps_to_its_tokens() -> None:
    lm = tiny_lm()
    bare, steered = at_block_2(lm, slider_with("ablate"), 1.0, tokens="last_prompt_token")
    assert torch.equal(steered[:, :-1], bare[:, :-1])
    assert (steered[:, -1] @ random_vector()[2]).abs().max() < 1e-3


def test_a_sliders_own_tokens_hold_unless_attach_names_others() -> None:
    lm = tiny_lm()
    slider = slider_with("ablate", tokens="last_prompt_token")
    bare, steered = at_block_2(lm, slider, 1.0)
    assert torch.equal(steered[:, :-1], bare[:, :-1])
    assert not torch.equal(steered[:, -1], bare[:, -1])
    assert not torch.equal(at_block_2(lm, slider, 1.0, tokens="all")[1][:, 0], bare[:, 0])


def test_all_pushes_move_with_the_same_slider() -> None:
    lm = tiny_lm()
    ablation = Push(random_vector(2), layers=(2,), strength=-1.0, intervention="ablate")
    slider = Slider((Push(random_vector(1), layers=(1,)), ablation))
    with Sliders(a=slider).attach(lm) as dial:
        dial.set(a=-1.0)
        with BlockOutputs(lm) as steered:
            logits(lm)
    assert (steered.states[2] @ random_vector(2)[2]).abs().max() < 1e-3
    with Sliders(a=slider).attach(lm) as dial, BlockOutputs(lm) as steered:
        dial.set(a=1.0)
        logits(lm)
    with Sliders(a=random_vector(1, layers=(1,))).attach(lm) as dial, BlockOutputs(lm) as only_added:
        dial.set(a=1.0)
        logits(lm)
    assert torch.equal(steered.states[3], only_added.states[3])


def test_decoding_with_and_without_cache_agrees_under_every_intervention() -> None:
    lm = tiny_lm()
    sliders = Sliders(**{name: slider_with(name) for name in INTERVENTIONS})
    with sliders.attach(lm) as dial:
        dial.set(**dict.fromkeys(INTERVENTIONS, 0.3))
        runs = [lm.model.generate(IDS, max_new_tokens=8, do_sample=False, use_cache=use) for use in (True, False)]
    assert torch.equal(*runs)


def test_your_own_intervention_is_one_registry_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INTERVENTIONS, "halve", lambda h, x, _v: h / (1 + x))
    bare, steered = at_block_2(tiny_lm(), slider_with("halve"), 1.0)
    assert torch.equal(steered, bare / 2)


def test_your_own_intervention_gets_the_tensors_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INTERVENTIONS, "two", lambda h, x, _v, minus, plus: h + x * plus - x * minus)
    assert tensor_names("two") == ("minus", "plus")
    minus, plus = torch.randn(2, LAYERS, WIDTH, generator=torch.Generator().manual_seed(4))
    push = Push(random_vector(layers=(2,)), intervention="two", tensors={"plus": plus, "minus": minus})
    bare, steered = at_block_2(tiny_lm(), Slider((push,)), 1.0)
    assert torch.equal(steered, bare + plus[2] - minus[2])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"intervention": "magic"}, "no intervention 'magic'; choose from 'add'"),
        ({"intervention": "rotate"}, "'rotate' takes the tensors 'second_direction', found"),
        ({"tensors": {"reader": torch.zeros(LAYERS, WIDTH)}}, "'add' takes the tensors .*, found 'reader'"),
        (
            {"intervention": "add_mapped", "tensors": {"reader": torch.zeros(2, 3)}},
            "reader of the directions' shape",
        ),
        (
            {"intervention": "add_mapped", "tensors": {"reader": torch.full((LAYERS, WIDTH), torch.nan)}},
            "finite reader of the directions' shape",
        ),
        ({"tokens": "nowhere"}, "no token position 'nowhere'"),
        ({"strength": 1e39}, "strength that keeps the directions finite"),
        ({"strength": float("inf")}, "strength that keeps the directions finite"),
        ({"layers": (7,)}, r"ascending layers out of \[0, 1, 2, 3\] to move, found \[7\]"),
        ({"layers": (2, 1)}, r"ascending layers out of \[0, 1, 2, 3\] to move, found \[2, 1\]"),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SteeringError, match=sentence):
        Push(random_vector(), **fields)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"range": (1.0, -1.0)}, "finite range in order"),
        ({"range": (0.0, float("inf"))}, "finite range in order"),
        ({"pushes": (Push(random_vector()), Push(SteeringVector(torch.ones(1, 3))))}, "several of the same width"),
        ({"pushes": ()}, "one push or several"),
    ],
)
def test_a_slider_that_does_not_fit_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SteeringError, match=sentence):
        Slider(**{"pushes": (Push(random_vector()),)} | fields)


def test_only_vectors_can_be_added_and_not_what_sliders_do() -> None:
    for combine in (lambda s: s + s, lambda s: 2 * s, lambda s: -s):
        assert isinstance(combine(random_vector()), SteeringVector)
        with pytest.raises(TypeError):
            combine(slider_with("ablate"))
