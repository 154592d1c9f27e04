"""An axis of one's own has the score of its own contrast set, on pairs that its vector has not seen."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from probes import Report, compare, contrast_score, evaluate, own_tuning_data, random_sliders
from probes.grid_scores import BUILTIN_OWN, Score
from steering import (
    ContrastPair,
    ContrastSet,
    Header,
    LanguageModel,
    Slider,
    Sliders,
    SteeringError,
    extract,
    preference_margin,
)
from steering.data.chats import Message
from steering.scoring.own_pairs import ANSWER_TOKENS
from tests.helpers.contrast_pairs import prompt_pairs
from tests.helpers.tiny import random_vector, tiny_lm

PAIRS = 20
GRID = [0.0, 1.0]


def answers(count: int = PAIRS, name: str = "manners") -> ContrastSet:
    """Pairs of answers that differ."""

    def side(number: int, words: str) -> tuple[Message, ...]:
        return (
            Message(role="user", content=f"Ask {number} {'x' * (number % 7)}"),
            Message(role="assistant", content=f"{words} {number % 3}"),
        )

    pairs = [
        ContrastPair(id=f"m{n}", group="g", positive=side(n, "If you please,"), negative=side(n, "Nope!"))
        for n in range(count)
    ]
    return ContrastSet(tuple(pairs), Header(name=name))


@pytest.fixture(autouse=True)
def _few_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in scores on few pairs: they are not what is tested."""
    monkeypatch.setattr("probes.grid_scores.builtin_scores.__defaults__", (2,))


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return tiny_lm(max_position_embeddings=2048)


def evaluated(lm: LanguageModel, held_out: float = 0.2) -> tuple[ContrastSet, Sliders, Report]:
    """Pairs, the slider that was made from them, and what was measured of it."""
    pairs = answers()
    sliders = Sliders(manners=extract(lm, pairs, held_out=held_out, progress=False))
    return pairs, sliders, evaluate(lm, sliders, {"manners": GRID}, pairs={"manners": pairs}, progress=False)


def test_the_own_score_is_the_margin_of_the_pairs_that_extract_held_out(lm: LanguageModel) -> None:
    pairs, sliders, report = evaluated(lm)
    own = report.own["manners"]
    assert own == "manners: positive over negative answers"
    _, held_out = pairs.split()
    assert len(held_out) == 4
    with sliders.attach(lm) as dial:
        for value, found in zip(GRID, report.scores[own], strict=True):
            dial.set(manners=value)
            torch.testing.assert_close(torch.tensor(found), preference_margin(lm, held_out, dial), rtol=1e-4, atol=1e-5)


def test_the_matrix_shows_what_the_axis_does_to_safety_and_helpfulness(lm: LanguageModel) -> None:
    _, _, report = evaluated(lm)
    effects = report.cross_effects
    assert effects.sliders == ("manners",)
    assert effects.scores == (report.own["manners"], *BUILTIN_OWN.values())
    for name, (estimate,) in zip(effects.scores, effects.slopes, strict=True):
        bare, moved = (torch.tensor(row, dtype=torch.float64) for row in report.scores[name])
        assert estimate.value == pytest.approx(((moved - bare).mean() / bare.std()).item(), rel=1e-6)
    assert [score for _, score, _ in effects.leaks] == [*BUILTIN_OWN.values()]


def test_a_share_held_out_of_ones_own_is_the_one_that_is_reported_on(lm: LanguageModel) -> None:
    pairs, sliders, report = evaluated(lm, held_out=0.4)
    vector = sliders["manners"]
    assert len(report.scores[report.own["manners"]][0]) == 8
    assert len(own_tuning_data(lm, vector, pairs, count=2)[0].items) == 4
    own, _ = own_tuning_data(lm, vector, pairs)
    used, held_out = pairs.split(0.4)
    assert list(own.items) == list(used)
    assert not {pair.id for pair in own.items} & {pair.id for pair in held_out}


def test_of_a_sum_those_pairs_are_held_out_that_no_part_has_seen(lm: LanguageModel) -> None:
    pairs = answers()
    parts = [extract(lm, pairs, held_out=share, progress=False) for share in (0.4, 0.2)]
    for vector in (parts[0] + parts[1], parts[1] + parts[0]):
        own, _ = own_tuning_data(lm, vector, pairs)
        assert list(own.items) == list(pairs.split(0.2)[0])


def test_pairs_that_the_vector_was_not_made_from_are_refused(lm: LanguageModel) -> None:
    pairs = answers()
    sliders = Sliders(manners=extract(lm, pairs, progress=False))
    for other in (answers(21), pairs[::-1]):
        with pytest.raises(SteeringError, match=r"which pairs it has not seen can't be known"):
            evaluate(lm, sliders, {"manners": GRID}, pairs={"manners": other}, progress=False)
        with pytest.raises(SteeringError, match=r"which pairs it has not seen can't be known"):
            own_tuning_data(lm, sliders["manners"], other)
    with pytest.raises(
        SteeringError, match=rf"found none for 'manners'; pass its pairs, 'manners' \({pairs.fingerprint}"
    ):
        evaluate(lm, sliders, {"manners": GRID}, progress=False)
    with pytest.raises(SteeringError, match="names no contrast set"):
        evaluate(lm, Sliders(manners=random_vector()), {"manners": GRID}, progress=False)
    with pytest.raises(SteeringError, match="Expected pairs for 'manners', found some for 'tone'; leave them out"):
        evaluate(lm, sliders, {"manners": GRID}, (), pairs={"tone": pairs}, progress=False)


def test_too_few_pairs_are_refused_with_how_many_it_takes(lm: LanguageModel) -> None:
    pairs = answers(10)
    sliders = Sliders(manners=extract(lm, pairs, progress=False))
    with pytest.raises(SteeringError, match="at least 4 pairs to measure 'manners' on, found 2; write more, 20 in all"):
        evaluate(lm, sliders, {"manners": GRID}, pairs={"manners": pairs}, progress=False)


def test_pairs_of_prompts_are_measured_by_the_models_own_answers_to_both_sides(lm: LanguageModel) -> None:
    pairs = prompt_pairs(6)
    score = contrast_score(lm, pairs, "toy")
    positive, negative = (lm.generate([side], ANSWER_TOKENS)[0] for side in (pairs[0].positive, pairs[0].negative))
    first = score.items[0]
    assert first.positive == (*pairs[0].negative, Message(role="assistant", content=positive))
    assert first.negative == (*pairs[0].negative, Message(role="assistant", content=negative))
    assert score.measure is preference_margin


def test_prompts_that_are_answered_alike_can_not_be_measured(lm: LanguageModel) -> None:
    same = [pair.model_copy(update={"positive": pair.negative}) for pair in prompt_pairs(6)]
    with pytest.raises(
        SteeringError, match="whose prompts the model answers differently, to measure 'toy' on, found 0"
    ):
        contrast_score(lm, same, "toy")


def test_a_vector_of_a_built_in_set_needs_no_pairs_whatever_its_name(lm: LanguageModel) -> None:
    builtin = ContrastSet.builtin("helpfulness")
    vector = extract(lm, builtin, layers=[2], progress=False)
    report = evaluate(lm, Sliders(engagement=vector), {"engagement": GRID}, progress=False)
    assert report.own == {"engagement": BUILTIN_OWN["helpfulness"]}
    own, _ = own_tuning_data(lm, vector, count=5)
    assert own.name == BUILTIN_OWN["helpfulness"]
    assert list(own.items) == list(builtin.split()[0].spread(5))


def test_compare_measures_sliders_with_an_axis_of_their_own_by_its_score(lm: LanguageModel) -> None:
    pairs = answers()
    mine = Sliders(manners=extract(lm, pairs, progress=False))
    methods = {"mine": mine, "random": random_sliders(mine), "pair": Sliders(safety=random_vector())}
    reports = compare(lm, methods, GRID, [], pairs={"manners": pairs}, progress=False)
    own = "manners: positive over negative answers"
    assert reports["mine"].own == reports["random"].own == {"manners": own}
    assert reports["mine"].scores[own] != reports["random"].scores[own]
    assert reports["pair"].scores == {}
    with pytest.raises(SteeringError, match="Expected pairs for 'manners', 'safety', found some for 'tone'"):
        compare(lm, methods, GRID, [], pairs={"tone": pairs})


def test_given_scores_and_those_of_own_pairs_go_together(lm: LanguageModel) -> None:
    def refused(lm: LanguageModel, prompts: list[str], dial: object) -> Tensor:
        return torch.arange(float(len(prompts)))

    pairs = answers()
    sliders = Sliders(a=random_vector(), manners=extract(lm, pairs, progress=False))
    own = Score("refused", ["Hi", "Why?"], refused, "a")
    report = evaluate(lm, sliders, {"a": GRID, "manners": GRID}, [own], pairs={"manners": pairs}, progress=False)
    assert report.own == {"a": "refused", "manners": "manners: positive over negative answers"}


def test_the_slider_of_a_saved_file_still_knows_its_pairs(lm: LanguageModel, tmp_path: Path) -> None:
    pairs = answers()
    extract(lm, pairs, progress=False).save(tmp_path / "manners.safetensors")
    pairs.save(tmp_path / "manners.jsonl")
    own, _ = own_tuning_data(
        lm, Slider.load(tmp_path / "manners.safetensors"), ContrastSet.load(tmp_path / "manners.jsonl")
    )
    assert list(own.items) == list(pairs.split()[0])
