"""On the embedded real model: gates and maps act on unseen harmful prompts, and less on ordinary ones."""

import pytest
from torch import Tensor

from steering import ContrastSet, LanguageModel, record
from steering.recipes import from_inputs
from steering.recipes.inputs import RecipeInputs

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def inputs(smollm2: LanguageModel) -> RecipeInputs:
    """A part of the built-in sets, for time."""
    sizes = {"safety": 80, "safety-response": 40, "helpfulness": 40, "over-refusal": 40}
    sets = {}
    for role, count in sizes.items():
        whole = ContrastSet.builtin(role).split()[0]
        sets[role] = ContrastSet(whole.pairs[:: len(whole) // count][:count], whole.header)
    return RecipeInputs(smollm2, sets, progress=False)


@pytest.fixture(scope="module")
def unseen(smollm2: LanguageModel) -> tuple[Tensor, Tensor]:
    """States of harmful and of ordinary prompts that are in none of those parts."""
    harmful = [pair.positive for pair in ContrastSet.builtin("safety").split()[1].pairs[::3]]
    ordinary = [pair.positive[:-1] for pair in ContrastSet.builtin("helpfulness").split()[1].pairs[::2]]
    return record(smollm2, harmful), record(smollm2, ordinary)


def test_casts_gate_opens_further_for_harmful_prompts(inputs: RecipeInputs, unseen: tuple[Tensor, Tensor]) -> None:
    gate = from_inputs(inputs, "cast").pushes[0].gate
    assert gate is not None
    harmful, ordinary = (gate.factors(states[:, [gate.layer]]).mean().item() for states in unseen)
    assert harmful > ordinary + 0.2


def test_the_null_space_map_asks_for_a_push_on_harmful_prompts(
    inputs: RecipeInputs, unseen: tuple[Tensor, Tensor]
) -> None:
    (push,) = from_inputs(inputs, "alphasteer").pushes
    for layer in push.layers:
        reader = push.tensors_at(layer)["reader"]
        harmful, ordinary = ((states[:, layer] @ reader).mean().item() for states in unseen)
        assert harmful > 0.5
        assert abs(ordinary) < 0.3
