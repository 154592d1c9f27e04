"""Doses: strengths that rise with the value, through the measured points, and exactly 0 at 0."""

import numpy as np
import pytest
import torch

from steering import Sliders
from steering.vectors.provenance import Dose
from tests.helpers.forward_passes import logits
from tests.helpers.known_vectors import DOSE, slider_of
from tests.helpers.tiny import random_vector, tiny_lm


def dose(values: tuple[float, ...], strengths: tuple[float, ...]) -> Dose:
    return Dose(outcome="refusals", prompts=8, values=values, strengths=strengths, effects=tuple(0.0 for _ in values))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_given_values_have_exactly_the_given_strengths(dtype: torch.dtype) -> None:
    found = DOSE.strength(torch.tensor(DOSE.values, dtype=dtype))
    assert found.dtype == dtype
    assert torch.equal(found.float(), torch.tensor(DOSE.strengths))


def test_between_values_and_beyond_them_the_lines_go_on() -> None:
    values = torch.tensor([-3.0, -0.5, 0.125, 0.625, 2.0])
    torch.testing.assert_close(DOSE.strength(values), torch.tensor([-1.5, -0.25, 0.05, 1.55, 0.1 + 1.75 / 0.75 * 2.9]))


def test_inside_it_is_numpys_interpolation_and_rises_with_the_value() -> None:
    values = torch.linspace(-1.0, 1.0, 401)
    found = DOSE.strength(values)
    np.testing.assert_allclose(found, np.interp(values, DOSE.values, DOSE.strengths), rtol=1e-6, atol=1e-7)
    assert (found.diff() > 0).all()


def test_a_dose_of_the_strengths_as_values_leads_back() -> None:
    back = dose(DOSE.strengths, DOSE.values)
    values = torch.linspace(-3.0, 3.0, 301)
    torch.testing.assert_close(back.strength(DOSE.strength(values)), values)


@pytest.mark.parametrize("curve", [DOSE, dose((0.0, 1.0), (0.0, 2.0)), dose((-2.0, 0.0), (-1.0, 0.0))])
def test_zero_is_exactly_zero(curve: Dose) -> None:
    assert curve.strength(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]
    assert not curve.strength(torch.tensor([-0.0])).any()
    assert curve.strength(torch.empty(0)).shape == (0,)


def test_a_dial_moves_by_the_dose_and_not_at_all_at_zero() -> None:
    lm = tiny_lm()
    plain = slider_of(random_vector())
    bare = logits(lm)
    with Sliders(a=plain).attach(lm) as dial:
        dial.set(a=[0.1, 0.0, 3.0])
        expected = logits(lm)
    with Sliders(a=type(plain)(plain.pushes, dose=DOSE)).attach(lm) as dial:
        assert torch.equal(logits(lm), bare)
        dial.set(a=[0.25, 0.0, 1.0])
        assert torch.equal(logits(lm), expected)
        assert dial.settings == {"a": [0.25, 0.0, 1.0]}
