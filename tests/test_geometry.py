"""Theorems of the geometry of axes: nothing is left along an ablated, orthogonalised or dual direction."""

import pytest
import torch
from tiny import random_vector

from steering import SteeringError, SteeringVector
from steering.directions.sparse import keep_largest
from steering.geometry import dual_basis, orthogonalize
from steering.interventions.ablate import ablate


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float64, 1e-12)]
)
def test_ablation_leaves_no_projection_and_nothing_else_changes(dtype: torch.dtype, tolerance: float) -> None:
    h, direction = torch.randn(2, 5, 64).to(dtype), 7 * torch.randn(64)
    unit = torch.nn.functional.normalize(direction.double(), dim=0)
    after = ablate(h, direction)
    assert after.dtype == dtype
    assert (after.double() @ unit).abs().max() < tolerance * h.double().norm(dim=-1).max()
    other = torch.randn(64, dtype=torch.float64)
    other -= (other @ unit) * unit
    torch.testing.assert_close(after.double() @ other, h.double() @ other, rtol=0, atol=tolerance * 64)


def test_partial_ablation_leaves_its_share_of_the_projection() -> None:
    h, direction = torch.randn(2, 5, 64), torch.randn(64)
    torch.testing.assert_close(ablate(h, direction, 0.25) @ direction, 0.75 * (h @ direction), rtol=1e-4, atol=1e-4)
    assert torch.equal(ablate(h, direction, 0.0), h)


def test_orthogonalised_axes_are_orthogonal_at_every_layer() -> None:
    w, r = random_vector(1), random_vector(2)
    products = (orthogonalize(w, r).directions * r.directions).sum(-1)
    assert products.abs().max() < 1e-4
    half = orthogonalize(w, r, strength=0.5)
    expected = 0.5 * (w.directions * r.directions).sum(-1)
    torch.testing.assert_close((half.directions * r.directions).sum(-1), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(orthogonalize(w, r, strength=0.0).directions, w.directions)


def test_a_dual_axis_moves_its_own_readout_and_no_other() -> None:
    axes = [random_vector(seed) for seed in (1, 2, 3)]
    duals = dual_basis(axes)
    for i, dual in enumerate(duals):
        for j, axis in enumerate(axes):
            moved = (dual.directions.double() * axis.directions.double()).sum(-1)
            expected = axis.directions.double().pow(2).sum(-1) if i == j else torch.zeros(4).double()
            torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-3)


def test_axes_that_do_not_fit_or_depend_on_each_other_are_refused() -> None:
    with pytest.raises(SteeringError, match="the same layers and width"):
        orthogonalize(random_vector(), random_vector().select([1]))
    with pytest.raises(SteeringError, match="linearly dependent at layer 0"):
        dual_basis([random_vector(), 2.0 * random_vector()])


@pytest.mark.parametrize(("share", "kept"), [(0.05, 5), (0.001, 1), (0.5, 50), (1.0, 100)])
def test_the_sparse_mask_keeps_exactly_its_share_of_the_largest_coordinates(share: float, kept: int) -> None:
    directions = torch.randn(3, 100)
    sparse = keep_largest(directions, share)
    assert ((sparse != 0).sum(-1) == kept).all()
    assert torch.equal(sparse[sparse != 0], directions[sparse != 0])
    dropped = directions.abs().masked_fill(sparse != 0, 0).amax(-1)
    assert (dropped <= directions.abs().masked_fill(sparse == 0, torch.inf).amin(-1)).all()
    with pytest.raises(ValueError, match="share should be above 0"):
        keep_largest(SteeringVector(directions).directions, 0.0)
