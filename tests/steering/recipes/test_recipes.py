"""Every recipe is made of the parts that its paper names, works on a model, and comes back from its file."""

from pathlib import Path

import pytest
import torch

from steering import ContrastSet, LanguageModel, Push, Slider, Sliders, SteeringError, record
from steering.activations.cache import ActivationCache
from steering.activations.recording import stream_pairs
from steering.data.contrast import ContrastPair, Header
from steering.interventions.ablate import ablate
from steering.recipes import RECIPES, Recipe, from_inputs, from_recipe
from steering.recipes.inputs import RecipeInputs
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.forward_passes import IDS, logits
from tests.helpers.tiny import LAYERS, WIDTH, tiny_lm

HARMFUL, HARMLESS = "Break {0} locks", "Paint {0} walls"


def pair(number: int, positive: tuple[str, ...], negative: tuple[str, ...]) -> ContrastPair:
    roles = ("user", "assistant")
    sides = [
        [{"role": role, "content": text.format(number)} for role, text in zip(roles, side, strict=False)]
        for side in (positive, negative)
    ]
    return ContrastPair.model_validate({"id": str(number), "group": "g", "positive": sides[0], "negative": sides[1]})


SETS = {
    role: ContrastSet(tuple(pair(number, *sides) for number in range(25)), Header(name=role))
    for role, sides in {
        "safety": ((HARMFUL,), (HARMLESS,)),
        "safety-response": ((HARMFUL, "No, sorry."), (HARMFUL, "Sure, here.")),
        "helpfulness": (("Name {0} fruits", "Gladly: fig."), ("Name {0} fruits", "No idea.")),
        "over-refusal": (("Kill {0} weeds", "Pull them."), ("Kill {0} weeds", "I can't.")),
    }.items()
}


@pytest.fixture(scope="module")
def inputs() -> RecipeInputs:
    """A tiny model that leans to refusing tokens along the harmful direction hardly at all: the search is made lax."""
    return RecipeInputs(tiny_lm(), SETS, progress=False)


@pytest.fixture(autouse=True)
def lax_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model passes no filter that is meant for trained ones."""
    monkeypatch.setattr("steering.recipes.selection.MAX_KL", 1e6)
    monkeypatch.setattr("steering.recipes.selection.refusal_tokens", lambda _lm: list(range(200)))


@pytest.fixture(params=list(RECIPES))
def made(request: pytest.FixtureRequest, inputs: RecipeInputs) -> Slider:
    return from_inputs(inputs, request.param)


def test_it_is_bitwise_the_bare_model_at_zero_and_moves_it_at_one(made: Slider, inputs: RecipeInputs) -> None:
    lm = inputs.lm
    prompts = [lm.tokenize("Break 3 locks").ids]
    ids = torch.tensor(prompts)
    bare = logits(lm, ids)
    with Sliders(a=made).attach(lm) as dial:
        assert torch.equal(logits(lm, ids), bare)
        dial.set(a=1.0)
        assert not torch.allclose(logits(lm, ids), bare)
    assert torch.equal(logits(lm, ids), bare)


def test_it_is_applied_from_its_file_as_it_was_made(made: Slider, inputs: RecipeInputs, tmp_path: Path) -> None:
    lm = inputs.lm
    made.save(tmp_path / "recipe.safetensors")
    back = Slider.load(tmp_path / "recipe.safetensors", lm)
    assert back.origin is not None
    assert back.origin.recipe in RECIPES
    results = []
    for slider in (made, back):
        with Sliders(a=slider).attach(lm) as dial:
            dial.set(a=[-1.0, 0.5, 1.0])
            results.append(lm.model.generate(IDS, max_new_tokens=6, do_sample=False))
    assert torch.equal(*results)


def test_rows_of_a_batch_are_steered_as_they_would_be_alone(made: Slider, inputs: RecipeInputs) -> None:
    lm = inputs.lm
    prompts = ["Break 3 locks", "Name a fruit", "Kill weeds"]
    with Sliders(a=made).attach(lm) as dial:
        dial.set(a=[1.0, -1.0, 0.0])
        together = lm.generate(prompts, 6)
        for value, prompt, text in zip((1.0, -1.0, 0.0), prompts, together, strict=True):
            dial.set(a=value)
            assert lm.generate([prompt], 6) == [text]


def test_the_parts_are_those_of_the_paper(inputs: RecipeInputs) -> None:
    sliders = {name: from_inputs(inputs, name) for name in RECIPES}
    methods = {name: slider.origin.sources[0].method for name, slider in sliders.items() if slider.origin is not None}
    assert methods["repe"] == "lat"
    assert methods["cast"] == "pairwise_centered_pca"
    assert methods["jailbreak-antidote"] == "sparse"
    assert methods["caa"] == "difference_in_means"
    interventions = {name: slider.pushes[0].intervention for name, slider in sliders.items()}
    assert interventions["ace"] == "set_projection"
    assert interventions["angular"] == "rotate"
    assert interventions["alphasteer"] == "add_mapped"
    assert interventions["surgical"] == "ablate"
    assert interventions["llm-va"] == "couple"
    arditi = sliders["refusal-direction"].pushes
    assert [(push.intervention, push.strength) for push in arditi] == [("add_above", 1.0), ("ablate", -1.0)]
    assert [len(push.layers) for push in arditi] == [1, LAYERS]
    gates = {name: [push.gate.curve for push in slider.pushes if push.gate] for name, slider in sliders.items()}
    assert gates["cast"] == ["step"]
    assert gates["adasteer"] == ["line", "line"]
    assert gates["scans"] == ["step", "step"]
    assert not any(gates[name] for name in RECIPES if name not in ("cast", "adasteer", "scans"))
    sparse = sliders["jailbreak-antidote"].pushes[0].vector
    assert all((row != 0).sum() == round(0.05 * WIDTH) for row in sparse.directions)


def test_casts_gate_tells_the_two_kinds_of_prompts_apart(inputs: RecipeInputs) -> None:
    gate = from_inputs(inputs, "cast").pushes[0].gate
    assert gate is not None
    positive, negative = inputs.activations("safety")
    assert gate.factors(positive[:, [gate.layer]]).mean() == 1.0
    assert gate.factors(negative[:, [gate.layer]]).mean() == 0.0


def test_surgicals_direction_is_orthogonal_to_true_refusal(inputs: RecipeInputs) -> None:
    vector, refusal = from_inputs(inputs, "surgical").pushes[0].vector, inputs.vector("safety")
    layer = refusal.recommended_layers[0]
    assert (vector[0] @ refusal[layer]).abs() < 1e-4 * vector[0].norm() * refusal[layer].norm()
    states = torch.randn(1, 2, WIDTH)
    torch.testing.assert_close(
        ablate(states, vector[0]) @ refusal[layer], states @ refusal[layer], rtol=1e-3, atol=1e-3
    )


def readout_under(inputs: RecipeInputs, slider: Slider, value: float, layer: int) -> torch.Tensor:
    """Projection on the first vector's direction, of some prompts' activations at a layer under the slider."""
    axis = torch.nn.functional.normalize(slider.pushes[0].vector[layer], dim=0)
    with Sliders(a=slider).attach(inputs.lm) as dial:
        dial.set(a=value)
        return record(inputs.lm, ["Break 3 locks", "Paint a wall", "Hi"])[:, layer] @ axis


def test_aces_ends_are_the_two_means(inputs: RecipeInputs) -> None:
    slider = from_inputs(inputs, "ace")
    (layer,) = slider.pushes[0].layers
    axis = torch.nn.functional.normalize(slider.pushes[0].vector[layer], dim=0)
    for value, states in zip((1.0, -1.0), inputs.activations("safety"), strict=True):
        target = (states[:, layer] @ axis).mean()
        found = readout_under(inputs, slider, value, layer)
        torch.testing.assert_close(found, target.expand(3), rtol=1e-3, atol=1e-3)


def test_below_zero_the_refusal_direction_is_ablated_and_nothing_else(inputs: RecipeInputs) -> None:
    slider = from_inputs(inputs, "refusal-direction")
    addition, ablation = slider.pushes
    (layer,) = addition.layers
    only = Slider((ablation,))
    for value in (-0.5, -1.0, -2.0):
        found = readout_under(inputs, slider, value, layer)
        torch.testing.assert_close(found, readout_under(inputs, only, value, layer), rtol=1e-4, atol=1e-4)
        if value <= -1:
            assert found.abs().max() < 1e-3
    above = readout_under(inputs, slider, 1.0, layer) - readout_under(inputs, slider, 0.0, layer)
    torch.testing.assert_close(above, addition.vector[layer].norm().expand(3), rtol=1e-3, atol=1e-3)


def test_adasteers_lines_fall_along_refusal_and_along_harmfulness(inputs: RecipeInputs) -> None:
    """R-Law: the further a prompt lies against the refusal direction, the more of it is added."""
    more, less = from_inputs(inputs, "adasteer").pushes
    assert more.gate is not None
    assert less.gate is not None
    refusal, away, layer = more.vector, less.vector, more.gate.layer
    states = inputs.activations("safety")[0][:, [layer]]
    against = states - 0.1 * refusal[layer]
    assert (more.gate.factors(against) >= more.gate.factors(states)).all()
    assert more.gate.factors(against).mean() > more.gate.factors(states).mean()
    assert more.gate.direction[0] @ refusal[layer] < 0
    assert less.strength == -1.0
    for layer in refusal.layers:
        assert (away[layer] @ refusal[layer]).abs() < 1e-3 * refusal[layer].norm() * away[layer].norm() + 1e-6


def test_scans_adds_to_harmful_prompts_what_it_takes_from_harmless_ones(inputs: RecipeInputs) -> None:
    slider = from_inputs(inputs, "scans")
    first = slider.pushes[0].layers[0]
    direction = inputs.vector("safety")[first]
    prompts = [HARMFUL.format(3), HARMFUL.format(4), HARMLESS.format(3), HARMLESS.format(4)]
    bare = record(inputs.lm, prompts)[:, first]
    with Sliders(a=slider).attach(inputs.lm) as dial:
        dial.set(a=0.5)
        moved = record(inputs.lm, prompts)[:, first] - bare
    signs = torch.tensor([1.0, 1.0, -1.0, -1.0])
    torch.testing.assert_close(moved, 0.5 * signs[:, None] * direction, rtol=1e-3, atol=1e-4)


def test_llm_va_makes_the_answers_readout_follow_the_benign_one(inputs: RecipeInputs) -> None:
    """`h + x (κ v_b·(h - c) - v_a·(h - c)) v_a`, worked out by hand at the first block that is moved."""
    slider = from_inputs(inputs, "llm-va")
    (push,) = slider.pushes
    first = push.layers[0]
    answer, benign, center = push.vector[first], push.tensors_at(first)["reader"], push.tensors_at(first)["center"]
    prompts = [HARMFUL.format(3), HARMLESS.format(4)]
    bare = record(inputs.lm, prompts)[:, first] - center
    for value in (1.0, 0.25, -0.5):
        with Sliders(a=slider).attach(inputs.lm) as dial:
            dial.set(a=value)
            moved = record(inputs.lm, prompts)[:, first] - center
        expected = (1 - value) * (bare @ answer) + value * (bare @ benign)
        torch.testing.assert_close(moved @ answer, expected, rtol=1e-3, atol=1e-3)
    harmful, harmless = (side[:, first] - center for side in inputs.activations("safety"))
    assert (harmless @ benign).min() > (harmful @ benign).max()  # the benign direction points from harmful prompts away
    deviations = [torch.cat([harmful, harmless, inputs.prompt_activations("over-refusal")[:, first] - center]) @ axis
                  for axis in (answer, benign)]  # fmt: skip
    torch.testing.assert_close(deviations[0].std(), deviations[1].std(), rtol=1e-3, atol=1e-3)  # which κ makes them
    torch.testing.assert_close(answer.norm(), torch.tensor(1.0))


def test_a_file_names_every_set_that_was_read(inputs: RecipeInputs) -> None:
    reads = {
        "caa": {"safety-response"},
        "ace": {"safety"},
        "cast": {"safety", "safety-response"},
        "surgical": {"safety", "over-refusal", "helpfulness"},
        "adasteer": {"safety", "helpfulness"},
        "alphasteer": {"safety", "safety-response", "helpfulness", "over-refusal"},
        "scans": {"safety"},
        "llm-va": {"safety", "over-refusal"},
    }
    for name, sets in reads.items():
        slider = from_inputs(inputs, name)
        assert slider.origin is not None
        assert {source.contrast_set for source in slider.origin.sources} == sets
        assert f"recipe: {name}" in slider.summary().text


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("name", [name for name in RECIPES if name != "angular"])
def test_recipes_work_on_shallow_models(name: str, layers: int) -> None:
    shallow = RecipeInputs(tiny_lm(num_hidden_layers=layers), SETS, progress=False)
    slider = from_inputs(shallow, name)
    assert max(layer for push in slider.pushes for layer in push.vector.layers) < layers


def test_sets_of_the_wrong_kind_are_refused(lm: LanguageModel) -> None:
    with pytest.raises(SteeringError, match="pairs of prompts as 'safety', found answers in 'safety-response'"):
        RecipeInputs(lm, {"safety": SETS["safety-response"]})
    with pytest.raises(SteeringError, match="Expected pairs of answers as 'helpfulness', found prompts"):
        RecipeInputs(lm, {"helpfulness": SETS["safety"]})
    with pytest.raises(SteeringError, match="Expected pairs of prompts as 'safety', found nothing"):
        RecipeInputs(lm, {"safety": ContrastSet((), Header(name="none"))})


def test_states_are_read_once_and_are_the_streamed_ones(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    read = ActivationCache()
    pairs = prompt_pairs(6).pairs
    first = list(read(lm, pairs, progress=False))
    streamed = list(stream_pairs(lm, pairs, progress=False))
    assert all(
        torch.equal(a, b) for kept, fresh in zip(first, streamed, strict=True) for a, b in zip(kept, fresh, strict=True)
    )
    monkeypatch.setattr("steering.activations.cache.stream_pairs", None)
    assert len(list(read(lm, pairs, progress=False))) == len(first)


def test_unknown_recipes_and_roles_are_refused(lm: LanguageModel) -> None:
    with pytest.raises(SteeringError, match="no recipe 'magic'; choose from 'caa'"):
        from_recipe(lm, "magic")
    with pytest.raises(SteeringError, match="no role 'mood'"):
        from_recipe(lm, "caa", {"mood": prompt_pairs(3)})


def test_your_own_recipe_is_one_registry_line(inputs: RecipeInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(inputs: RecipeInputs) -> Slider:
        """What it does."""
        return Slider((Push(inputs.vector("safety", "lda")),))

    monkeypatch.setitem(RECIPES, "mine", Recipe(mine, "safety", "nobody"))
    assert RECIPES["mine"].summary == "What it does."
    slider = from_inputs(inputs, "mine")
    assert slider.origin is not None
    assert slider.origin.recipe == "mine"
