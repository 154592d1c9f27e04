"""Every direction finds what was planted, and is what its paper defines."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.covariance import OAS
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from steering import LanguageModel, SteeringError, extract, extraction
from steering.activations.moments import Moments
from steering.activations.recording import PairActivations
from steering.directions import DIRECTIONS
from steering.directions.lda import lda
from steering.directions.pca import pca
from steering.directions.sparse import keep_largest
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.paths import ROOT

LAYERS, WIDTH, PAIRS = 2, 16, 4000
SEEDS = range(5)
FINDERS = [name for name in DIRECTIONS if name not in ("random", "sparse")]
PAIRED = ["pca", "pairwise_centered_pca", "sparse"]
STREAMED = [name for name in DIRECTIONS if name != "logistic"]


def planted(seed: int, positives: int = PAIRS, negatives: int = PAIRS) -> tuple[Tensor, Tensor, Tensor]:
    """(positive states, negative states, the direction between them): unit noise, sides 6 apart."""
    generator = torch.Generator().manual_seed(seed)
    direction = normalize(torch.randn(LAYERS, WIDTH, generator=generator), dim=-1)
    positive = torch.randn(positives, LAYERS, WIDTH, generator=generator) + 3 * direction
    negative = torch.randn(negatives, LAYERS, WIDTH, generator=generator) - 3 * direction
    return positive, negative, direction


def distractor(seed: int, direction: Tensor) -> Tensor:
    """A unit direction orthogonal to the planted one."""
    drawn = torch.randn(LAYERS, WIDTH, generator=torch.Generator().manual_seed(seed + 1000))
    return normalize(drawn - (drawn * direction).sum(-1, keepdim=True) * direction, dim=-1)


def batches(positive: Tensor, negative: Tensor, size: int = 512) -> list[PairActivations]:
    count = -(-max(len(positive), len(negative)) // size)
    return list(zip(positive.tensor_split(count), negative.tensor_split(count), strict=True))


def assert_found(name: str, positive: Tensor, negative: Tensor, direction: Tensor) -> None:
    found = DIRECTIONS[name](batches(positive, negative))
    assert found.shape == direction.shape
    assert (cosine_similarity(found, direction.double()) > 0.99).all(), name


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FINDERS)
def test_a_planted_direction_is_found_with_its_sign(name: str, seed: int) -> None:
    assert_found(name, *planted(seed))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FINDERS)
def test_and_under_a_large_common_mean(name: str, seed: int) -> None:
    positive, negative, direction = planted(seed)
    mean = 1000 * torch.randn(LAYERS, WIDTH, generator=torch.Generator().manual_seed(seed + 7))
    assert_found(name, positive + mean, negative + mean, direction)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", [name for name in FINDERS if name not in PAIRED])
def test_and_with_ten_times_as_many_negatives(name: str, seed: int) -> None:
    assert_found(name, *planted(seed, positives=PAIRS // 4, negatives=PAIRS * 5 // 2))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", [name for name in FINDERS if name != "lat"])
def test_and_beside_a_topic_that_varies_more_and_is_shared_by_each_pair(name: str, seed: int) -> None:
    """LAT makes no such claim: it takes the largest variance for the axis."""
    positive, negative, direction = planted(seed)
    topic = 10 * torch.randn(PAIRS, 1, 1, generator=torch.Generator().manual_seed(seed)) * distractor(seed, direction)
    assert_found(name, positive + topic, negative + topic, direction)


@pytest.mark.parametrize("seed", SEEDS)
def test_lda_and_logistic_resist_noise_that_varies_more_on_each_side(seed: int) -> None:
    positive, negative, direction = planted(seed)
    along = distractor(seed, direction)
    noise = 8 * torch.randn(2, PAIRS, 1, 1, generator=torch.Generator().manual_seed(seed)) * along
    for name in ("lda", "logistic"):
        assert_found(name, positive + noise[0], negative + noise[1], direction)


def test_lat_takes_the_largest_variance_for_the_axis() -> None:
    positive, negative, direction = planted(0)
    along = distractor(0, direction)
    topic = 10 * torch.randn(PAIRS, 1, 1, generator=torch.Generator().manual_seed(0)) * along
    found = DIRECTIONS["lat"](batches(positive + topic, negative + topic))
    assert (cosine_similarity(found, along.double()).abs() > 0.99).all()


@pytest.mark.parametrize("name", [name for name in DIRECTIONS if name not in ("random", "mean_centered")])
def test_value_one_moves_the_readout_from_one_side_to_the_other(name: str) -> None:
    """The common unit of all methods; sparse masks it and so keeps less."""
    positive, negative, _ = planted(3)
    found = DIRECTIONS[name](batches(positive, negative))
    difference = positive.double().mean(0) - negative.double().mean(0)
    readout = normalize(found, dim=-1)
    if name == "sparse":
        assert torch.equal(found, keep_largest(pca(batches(positive, negative))))
    else:
        torch.testing.assert_close((readout * found).sum(-1), (readout * difference).sum(-1))
        assert ((readout * found).sum(-1) > 0).all()


@pytest.mark.parametrize("name", STREAMED)
def test_streaming_equals_the_whole_batch_and_order_does_not_matter(name: str) -> None:
    positive, negative, _ = planted(1, 300, 300)
    positive, negative = positive + 50, negative + 50
    whole = DIRECTIONS[name]([(positive, negative)])
    in_parts = DIRECTIONS[name](batches(positive, negative, 7))
    backwards = DIRECTIONS[name](batches(positive, negative, 7)[::-1])
    torch.testing.assert_close(in_parts, whole, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(backwards, whole, rtol=1e-10, atol=1e-10)


def test_moments_equal_numpy_and_merge() -> None:
    states = torch.randn(101, LAYERS, WIDTH, generator=torch.Generator().manual_seed(0)) + 1e4
    first, second = Moments(), Moments()
    for batch in states[:60].split(9):
        first.update(batch)
    second.update(states[60:])
    both = first + second + Moments()
    assert both.count == 101
    for layer in range(LAYERS):
        expected = np.cov(states[:, layer].double().numpy(), rowvar=False, bias=True)
        np.testing.assert_allclose(both.covariance[layer].numpy(), expected, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(both.mean[layer].numpy(), states[:, layer].double().mean(0).numpy(), rtol=1e-13)


def test_the_gram_matrix_is_the_sum_of_outer_products() -> None:
    activations = torch.randn(50, LAYERS, WIDTH, generator=torch.Generator().manual_seed(0)) + 3.0
    moments = Moments()
    for batch in activations.split(7):
        moments.update(batch)
    for layer in range(LAYERS):
        matrix = activations[:, layer].double()
        torch.testing.assert_close(moments.gram[layer], matrix.T @ matrix, rtol=1e-12, atol=1e-12)


def test_mean_centered_is_the_positive_mean_less_the_mean_of_all() -> None:
    positive, negative, _ = planted(6, 40, 90)
    expected = positive.double().mean(0) - torch.cat([positive, negative]).double().mean(0)
    torch.testing.assert_close(DIRECTIONS["mean_centered"]([(positive, negative)]), expected, rtol=1e-12, atol=1e-12)


def _layers(function: Callable[[np.ndarray, np.ndarray], np.ndarray], positive: Tensor, negative: Tensor) -> Tensor:
    sides = [[side[:, layer].double().numpy() for layer in range(LAYERS)] for side in (positive, negative)]
    return torch.from_numpy(np.stack([function(p, n) for p, n in zip(*sides, strict=True)]))


def test_lda_equals_scikit_learns() -> None:
    positive, negative, _ = planted(2, 200, 70)
    mixing = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(5))
    positive, negative = positive @ mixing, negative @ mixing

    def reference(p: np.ndarray, n: np.ndarray) -> np.ndarray:
        model = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=OAS(store_precision=False))
        return model.fit(np.concatenate([p, n]), [1] * len(p) + [0] * len(n)).coef_[0]

    expected = _layers(reference, positive, negative)
    found = lda(batches(positive, negative, 50))
    torch.testing.assert_close(normalize(found, dim=-1), normalize(expected, dim=-1), rtol=1e-9, atol=1e-9)


def test_pca_is_the_axis_of_randomly_ordered_differences_and_of_sides_centred_on_their_pair() -> None:
    positive, negative, _ = planted(4, 500, 500)

    def centred_pairs(p: np.ndarray, n: np.ndarray) -> np.ndarray:
        middle = (p + n) / 2
        return PCA(1).fit(np.concatenate([p - middle, n - middle])).components_[0]

    def random_orders(p: np.ndarray, n: np.ndarray) -> np.ndarray:
        signs = np.random.default_rng(0).permutation([1, -1] * 250)[:, None]
        return PCA(1).fit(signs * (p - n)).components_[0]

    cast = cosine_similarity(pca([(positive, negative)]), _layers(centred_pairs, positive, negative)).abs()
    torch.testing.assert_close(cast, torch.ones(LAYERS, dtype=torch.float64), rtol=1e-10, atol=0)
    repe = cosine_similarity(pca([(positive, negative)]), _layers(random_orders, positive, negative)).abs()
    assert (repe > 0.999).all()


def test_lat_is_the_axis_of_all_pairs_of_stimuli() -> None:
    positive, negative, _ = planted(4, 40, 40)
    stimuli = torch.cat([positive, negative]).double()
    differences = (stimuli[:, None] - stimuli[None, :]).reshape(-1, LAYERS, WIDTH)
    found = DIRECTIONS["lat"]([(positive, negative)])
    for layer in range(LAYERS):
        axis = torch.linalg.svd(differences[:, layer], full_matrices=False).Vh[0]
        torch.testing.assert_close(
            cosine_similarity(found[layer], axis, dim=0).abs(),
            torch.tensor(1.0, dtype=torch.float64),
            rtol=1e-10,
            atol=0,
        )


def test_random_directions_have_the_norm_of_the_difference_in_means_and_a_seed() -> None:
    positive, negative, _ = planted(0, 50, 50)
    found = DIRECTIONS["random"]([(positive, negative)])
    expected = DIRECTIONS["difference_in_means"]([(positive, negative)])
    torch.testing.assert_close(found.norm(dim=-1), expected.norm(dim=-1))
    assert torch.equal(found, DIRECTIONS["random"]([(positive, negative)]))
    other = DIRECTIONS["random"]([planted(1, 50, 50)[:2]])
    assert (cosine_similarity(found, other).abs() < 0.9).all()  # another axis, another direction
    assert (cosine_similarity(found, expected).abs() < 0.9).all()


@pytest.mark.parametrize("name", DIRECTIONS)
def test_no_states_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="needs"):
        DIRECTIONS[name]([])


@pytest.mark.parametrize("name", PAIRED)
def test_unpaired_sides_are_refused_where_pairs_are_needed(name: str) -> None:
    positive, negative, _ = planted(0, 5, 6)
    with pytest.raises(ValueError, match="5 positive and 6 negative"):
        DIRECTIONS[name]([(positive, negative)])


def test_the_example_in_contributing_works_as_it_stands(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    monkeypatch.setattr("steering.directions.DIRECTIONS", dict(DIRECTIONS))
    exec(code, namespace := {})
    assert len(code.splitlines()) <= 18
    positive, negative, direction = planted(0)
    positive[:10] = 1e4 * torch.randn(10, LAYERS, WIDTH)
    found = namespace["median_of_means"](batches(positive, negative, 100))
    assert (cosine_similarity(found, direction.double()) > 0.99).all()
    monkeypatch.setitem(extraction.DIRECTIONS, "median_of_means", namespace["median_of_means"])
    vector = extract(lm, prompt_pairs(10), method="median_of_means", progress=False)
    assert vector.origin is not None
    assert vector.origin.sources[0].method == "median_of_means"


def test_a_method_that_returns_the_wrong_shape_is_refused(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DIRECTIONS, "flat", lambda _batches: torch.zeros(3))
    with pytest.raises(SteeringError, match="'flat' should return 4 finite directions of width 32, found shape"):
        extract(lm, prompt_pairs(10), method="flat", progress=False)
