"""The artifact in memory: arithmetic, selection, and the check against a model."""

from dataclasses import replace

import pytest
import torch

from steering import LanguageModel, Sliders, SteeringError, SteeringVector, extract
from steering.vectors.steering_vector import keep_largest
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.tiny import LAYERS, WIDTH, random_vector, tiny_lm


@pytest.fixture(scope="module")
def vector(lm: LanguageModel) -> SteeringVector:
    return extract(lm, prompt_pairs(10), progress=False)


def test_arithmetic_is_that_of_the_directions(vector: SteeringVector) -> None:
    other = replace(vector, directions=torch.randn(LAYERS, WIDTH))
    assert torch.equal((vector + other).directions, vector.directions + other.directions)
    assert torch.equal((vector - other).directions, vector.directions - other.directions)
    assert torch.equal((0.5 * vector).directions, vector.directions * 0.5)
    assert torch.equal((-vector).directions, -vector.directions)
    mixed = 0.5 * replace(vector, recommended_layers=(1,)) + 2.0 * replace(other, recommended_layers=(3,))
    assert torch.equal(mixed.directions, 0.5 * vector.directions + 2.0 * other.directions)
    assert mixed.recommended_layers == (1, 3)
    combined = 0.5 * vector - other
    assert combined.title == "(0.5·(toy)) - (toy)"
    assert combined.profile is None
    assert combined.origin.model == vector.origin.model


def test_vectors_of_different_making_do_not_add(vector: SteeringVector) -> None:
    with pytest.raises(SteeringError, match="the same layers and width"):
        vector + vector.select([1])
    with pytest.raises(SteeringError, match="the same model: made with weights"):
        vector + extract(tiny_lm(seed=5), prompt_pairs(10), progress=False)


def test_normalized_directions_have_norm_one(vector: SteeringVector) -> None:
    torch.testing.assert_close(vector.normalized().directions.norm(dim=1), torch.ones(LAYERS))
    with pytest.raises(SteeringError, match=r"zero direction, found at layers \[2\]"):
        SteeringVector(torch.tensor([[1.0], [2.0], [0.0]])).normalized()


def test_select_keeps_layers_with_their_figures_and_moves_all_of_them(vector: SteeringVector) -> None:
    some = vector.select([3, 1])
    assert some.layers == some.recommended_layers == (1, 3)
    assert torch.equal(some[3], vector[3])
    assert some.profile.auroc == (vector.profile.auroc[1], vector.profile.auroc[3])
    assert some.auroc_at(3) == vector.profile.auroc[3]
    with pytest.raises(SteeringError, match=r"no layer 9; it has \[0, 1, 2, 3\]"):
        vector.select([9])
    with pytest.raises(SteeringError, match="at least one layer"):
        vector.select([])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"directions": torch.ones(0, 2)}, r"found shape \(0, 2\)"),
        ({"directions": torch.ones(4)}, r"found shape \(4,\)"),
        ({"directions": torch.full((4, 2), torch.inf)}, "infinite or undefined"),
        ({"layers": (0, 1)}, "Expected 4 ascending layers"),
        ({"layers": (3, 2, 1, 0)}, "Expected 4 ascending layers"),
        ({"recommended_layers": (7,)}, r"Expected recommended layers out of \[0, 1, 2, 3\], found \[7\]"),
    ],
)
def test_parts_that_do_not_fit_are_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(SteeringError, match=sentence):
        SteeringVector(**{"directions": torch.ones(4, 2)} | fields)


def test_the_summary_says_what_it_is_and_where_it_comes_from(vector: SteeringVector) -> None:
    text = vector.summary().text
    for part in (
        "toy: layers 0-3 of width 32",
        "difference_in_means at last",
        "tiny-Llama",
        "8 pairs, 2 held out",
        "AUROC",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"num_hidden_layers": 3}, "made for 4 layers of width 32 .* found 3 layers of width 32|layers up to 3"),
        ({"hidden_size": 64}, "has width 32 .* has width 64"),
        ({"seed": 1}, r"made with weights '\w+' \('tiny-Llama'\), found '\w+'.*allow_mismatch=\['weights'\]"),
        ({"chat_template": None}, r"made with chat_template '\w+' .* found 'none'.*allow_mismatch=\['chat_template'\]"),
        ({"family": "Mistral"}, "made with config"),
        ({"system_prompt": "Be brief."}, r"made with system_prompt '' .* found 'Be brief.'"),
    ],
)
def test_another_model_is_refused_with_the_name_of_the_difference(
    vector: SteeringVector, other: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SteeringError, match=sentence):
        Sliders(a=vector).attach(tiny_lm(**other))


def test_a_named_difference_can_be_accepted_but_not_a_misfit(vector: SteeringVector) -> None:
    lm = tiny_lm(seed=1, chat_template=None)
    with pytest.raises(SteeringError, match="weights"):
        Sliders(a=vector).attach(lm, allow_mismatch=["chat_template"])
    Sliders(a=vector).attach(lm, allow_mismatch=["chat_template", "weights"]).detach()
    with pytest.raises(SteeringError, match="use the model it was made on"):
        Sliders(a=vector).attach(tiny_lm(hidden_size=64), allow_mismatch=["weights", "config"])
    with pytest.raises(SteeringError, match="no mismatch 'architecture' to allow; choose from 'config', 'weights'"):
        Sliders(a=vector).attach(lm, allow_mismatch=["architecture"])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_same_weights_in_another_dtype_are_the_same_model(vector: SteeringVector, dtype: torch.dtype) -> None:
    lm = tiny_lm()
    lm.model.to(dtype)
    Sliders(a=vector).attach(lm).detach()


def test_a_vector_of_unknown_making_is_checked_for_its_shape_only() -> None:
    Sliders(a=random_vector()).attach(tiny_lm("GPT2")).detach()
    with pytest.raises(SteeringError, match="layers up to 5"):
        Sliders(a=SteeringVector(torch.ones(6, WIDTH))).attach(tiny_lm())


def test_sparse_keeps_the_largest_coordinates_and_says_so() -> None:
    vector = random_vector()
    sparse = vector.sparse(0.25)
    assert ((sparse.directions != 0).sum(-1) == 8).all()
    assert torch.equal(sparse.directions, keep_largest(vector.directions, 0.25))
    with pytest.raises(SteeringError, match="share above 0"):
        vector.sparse(0.0)
