"""Theorems of the geometry of axes: nothing is left along an ablated, orthogonalized or dual direction."""

import pytest
import torch

from steering import Push, Slider, SteeringError, SteeringVector
from steering.interventions.ablate import ablate
from steering.vectors.geometry import dual_basis, geometry, orthogonalize
from steering.vectors.steering_vector import keep_largest
from tests.helpers.tiny import LAYERS, WIDTH, random_vector


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


def test_orthogonalized_axes_are_orthogonal_at_every_layer() -> None:
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
    for wrong in (0.0, -share, 1 + share):
        with pytest.raises(SteeringError, match="share above 0 and at most 1"):
            SteeringVector(directions).sparse(wrong)


def covariance(seed: int = 0) -> torch.Tensor:
    mixing = torch.randn(LAYERS, WIDTH, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return mixing @ mixing.mT + torch.eye(WIDTH)


@pytest.mark.parametrize("metric", ["plain", "whitened"])
def test_of_all_shifts_that_leave_the_other_readout_the_dual_axis_is_the_shortest(metric: str) -> None:
    axes = [random_vector(seed) for seed in (1, 2)]
    sigma = covariance() if metric == "whitened" else torch.eye(WIDTH, dtype=torch.float64).expand(LAYERS, -1, -1)
    duals = dual_basis(axes, sigma if metric == "whitened" else None)
    for layer in range(LAYERS):
        a = torch.stack([axis[layer] for axis in axes]).double()
        d = duals[0][layer].double()
        torch.testing.assert_close(a @ d, torch.stack([a[0] @ a[0], torch.tensor(0.0)]).double(), rtol=1e-4, atol=1e-3)
        inverse = torch.linalg.inv(sigma[layer])
        # Any other such shift differs by something that both readouts don't see; it is longer.
        generator = torch.Generator().manual_seed(layer)
        for _ in range(5):
            unseen = torch.randn(WIDTH, generator=generator, dtype=torch.float64)
            unseen = unseen - torch.linalg.pinv(a) @ (a @ unseen)
            assert (d + 0.01 * unseen) @ inverse @ (d + 0.01 * unseen) > d @ inverse @ d - 1e-6
            assert abs(d @ inverse @ unseen) < 1e-3 * (d @ inverse @ d).sqrt() * (unseen @ inverse @ unseen).sqrt()


def test_the_plain_dual_basis_is_the_pseudo_inverse() -> None:
    axes = [random_vector(seed) for seed in (1, 2, 3)]
    for layer in range(LAYERS):
        rows = torch.stack([axis[layer] for axis in axes]).double()
        expected = torch.linalg.pinv(rows).T * rows.pow(2).sum(-1, keepdim=True)
        found = torch.stack([dual[layer] for dual in dual_basis(axes)]).double()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_report_gives_cosines_and_readouts_before_and_after() -> None:
    axes = {"a": random_vector(1), "b": random_vector(2).select([1, 2, 3])}
    before = geometry(axes)
    assert before.axes == ("a", "b")
    assert before.layers == (1, 2, 3)
    a, b = axes["a"][2].double(), axes["b"][2].double()
    cosine = float(a @ b / (a.norm() * b.norm()))
    torch.testing.assert_close(torch.tensor(before.cosines[1]), torch.tensor([[1, cosine], [cosine, 1]]))
    assert before.readouts[1][0][1] == pytest.approx(float(a @ b / b.norm()), rel=1e-6)
    same = {name: vector.select([1, 2, 3]) for name, vector in axes.items()}
    duals = dict(zip(same, dual_basis(list(same.values())), strict=True))
    after = geometry(duals, read=same)
    for old, new in zip(geometry(same).readouts, after.readouts, strict=True):
        assert new[0][0] == pytest.approx(old[0][0], rel=1e-5)
        assert abs(new[0][1]) < 1e-4
        assert abs(new[1][0]) < 1e-4


def test_the_report_knows_what_a_slider_moves_and_how_far() -> None:
    a, b = random_vector(1, layers=(0, 1, 2)), random_vector(2, layers=(1, 2, 3))
    whole = geometry({"a": a, "b": b})
    some = geometry({"a": a, "b": Slider((Push(b, layers=(2, 3), strength=-0.5),))})
    assert some.cosines == whole.cosines
    assert whole.readouts[1][1][0] != 0
    assert some.readouts[1][1] == (0.0, 0.0)
    assert some.readouts[2][1] == tuple(-0.5 * readout for readout in whole.readouts[2][1])
    assert [layer[0] for layer in some.readouts] == [layer[0] for layer in whole.readouts]


def test_a_report_of_axes_without_a_common_layer_is_refused() -> None:
    with pytest.raises(SteeringError, match="no layer in common"):
        geometry({"a": random_vector().select([0]), "b": random_vector().select([1])})
    with pytest.raises(SteeringError, match="plain addition"):
        geometry({"a": Slider((Push(random_vector(), intervention="ablate"),))})
    with pytest.raises(SteeringError, match="covariance for each of 4 layers of width 32"):
        dual_basis([random_vector(1), random_vector(2)], torch.eye(32)[None])
    with pytest.raises(SteeringError, match="the same axes to be moved and read"):
        geometry({"a": random_vector()}, read={"b": random_vector()})
