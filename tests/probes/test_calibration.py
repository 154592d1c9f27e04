"""calibrate() finds the edge that was planted: where the own score stops rising, or the KL budget is spent."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from probes.calibration import LARGEST, READINGS, STEPS, _kl_edge, calibrate, default_spans, tuning_data
from probes.grid_scores import Score, builtin_scores
from steering import Dial, LanguageModel, Push, Slider, Sliders, SteeringError, SteeringVector
from steering.interventions.gates import Gate
from steering.scoring.next_token import kl_divergence, next_token_log_probabilities
from steering.vectors.slider import as_slider
from tests.helpers.known_vectors import DOSE
from tests.helpers.tiny import random_vector, tiny_lm

PROMPTS = ["Break the lock", "Paint the wall", "Name a fruit"]


def peak(at: float) -> Score:
    """A score that rises with the slider up to a value and falls beyond."""

    def measure(_lm: LanguageModel, prompts: list[str], dial: Dial) -> Tensor:
        value = dial.settings["slider"]
        return torch.full((len(prompts),), -abs(float(value) - at))  # type: ignore[arg-type]

    return Score("peak", PROMPTS, measure, "slider")


def kl_at(lm: LanguageModel, slider: Slider | SteeringVector, value: float) -> float:
    bare = next_token_log_probabilities(lm, PROMPTS)
    with Sliders(slider=slider).attach(lm) as dial:
        dial.set(slider=value)
        return kl_divergence(bare, next_token_log_probabilities(lm, PROMPTS)).mean().item()


def test_slider_one_spends_the_kl_budget_where_the_score_rises_all_the_way() -> None:
    lm, vector = tiny_lm(), random_vector()
    for budget in (0.01, 0.1):
        found = calibrate(lm, vector, peak(100.0), PROMPTS, kl_budget=budget, spans=[(1, 2)], progress=False)
        assert kl_at(lm, found, 1.0) == pytest.approx(budget, rel=0.1)
        assert found.range[1] == 1.0
        assert kl_at(lm, found, found.range[0]) <= budget * 1.1
        assert found.calibration is not None
        assert found.calibration.spans[0].kl == pytest.approx(kl_at(lm, found, 1.0), rel=1e-3)


def test_slider_one_ends_where_the_score_stops_rising() -> None:
    lm = tiny_lm()
    weak = random_vector(scale=1e-4)
    assert kl_at(lm, weak, LARGEST) < 0.01
    found = calibrate(lm, weak, peak(LARGEST / 2), PROMPTS, spans=[(1, 2)], progress=False)
    assert found.pushes[0].strength == pytest.approx(LARGEST / 2)
    assert found.range == (-1.0, 1.0)


def test_the_span_with_the_larger_gain_at_its_edge_is_taken() -> None:
    lm, vector = tiny_lm(), random_vector()
    found = calibrate(lm, vector, peak(100.0), PROMPTS, spans=[(1,), (2,), (1, 2)], progress=False)
    assert found.calibration is not None
    gains = {span.layers: span.gain for span in found.calibration.spans}
    (push,) = found.pushes
    assert push.layers == max(gains, key=lambda layers: gains[layers])
    assert push.vector is vector


def test_a_slider_that_raises_nothing_is_refused() -> None:
    with pytest.raises(SteeringError, match="raises 'peak' in none of 1 spans"):
        calibrate(tiny_lm(), random_vector(), peak(-1.0), PROMPTS, spans=[(1,)], progress=False)
    with pytest.raises(SteeringError, match="KL budget above 0"):
        calibrate(tiny_lm(), random_vector(), peak(1.0), PROMPTS, kl_budget=0.0)


def test_the_record_survives_the_file_and_no_change_of_the_vector(tmp_path: Path) -> None:
    found = calibrate(tiny_lm(), random_vector(), peak(100.0), PROMPTS, spans=[(1, 2)], progress=False)
    assert found.calibration is not None
    found.save(tmp_path / "v")
    assert Slider.load(tmp_path / "v").calibration == found.calibration
    assert "calibrated: 'peak' on 3 prompts" in found.summary().text
    changes: list[Callable[[SteeringVector], SteeringVector]] = [
        lambda vector: 2.0 * vector,
        lambda vector: vector + vector,
        SteeringVector.normalized,
        SteeringVector.sparse,
    ]
    for change in changes:
        assert found.along(change).calibration is None


def test_gates_and_further_pushes_keep_their_layers_and_scale_together() -> None:
    lm = tiny_lm()
    gated = Push(random_vector(), gate=Gate(0, torch.ones(32), bias=1e6))
    both = Slider((gated, Push(random_vector(2), (2, 3), strength=0.5)))
    assert default_spans(Slider((gated,))) == default_spans(both) == [(1, 2)]
    found = calibrate(lm, both, peak(100.0), PROMPTS, progress=False)
    first, second = found.pushes
    assert (first.layers, second.layers) == ((1, 2), (2, 3))
    assert second.strength == pytest.approx(first.strength * 0.5)


def test_a_dose_gives_way_to_the_edge_that_is_found() -> None:
    lm = tiny_lm()
    pushes = (Push(random_vector(1)), Push(random_vector(2)))
    straight, dosed = (
        calibrate(lm, Slider(pushes, dose=dose), peak(100.0), PROMPTS, progress=False) for dose in (None, DOSE)
    )
    assert dosed.dose is None
    assert dosed.summary() == straight.summary()


def test_spans_cover_the_middle_of_the_model() -> None:
    spans = default_spans(as_slider(SteeringVector(torch.ones(30, 4), recommended_layers=(15, 16))))
    assert spans[0] == (15, 16)
    assert {len(span) for span in spans} == {1, 2, 3}
    assert all(6 <= layer <= 24 for span in spans for layer in span)
    assert len(set(spans)) == len(spans)


def test_tuning_and_reporting_prompts_are_disjoint() -> None:
    reported = {score.name: score.items for score in builtin_scores(1000)}
    for axis in ("safety", "helpfulness"):
        own, ordinary = tuning_data(axis, 1000)
        assert own.own_slider == axis
        assert not {str(item) for item in own.items} & {str(item) for item in reported[own.name]}
        assert not {str(item) for item in ordinary} & {str(item) for item in reported["refusal of ordinary"]}
    with pytest.raises(SteeringError, match="no built-in tuning data for 'formality'"):
        tuning_data("formality")


def counted(score: Score) -> tuple[Score, list[float]]:
    """The score, and the slider values at which it was measured."""
    values: list[float] = []

    def measure(lm: LanguageModel, prompts: list[str], dial: Dial) -> Tensor:
        values.append(float(dial.settings["slider"]))  # type: ignore[arg-type]
        return score.measure(lm, prompts, dial)

    return Score(score.name, score.items, measure, score.own_slider), values


def test_nothing_is_measured_twice_and_only_the_span_that_is_taken_downwards() -> None:
    own, values = counted(peak(100.0))
    found = calibrate(tiny_lm(), random_vector(), own, PROMPTS, spans=[(1,), (2,), (1, 2)], progress=False)
    assert values.count(0.0) == 1
    assert sum(value > 0 for value in values) == 3 * STEPS
    assert sum(value < 0 for value in values) == STEPS
    assert found.calibration is not None
    lowest = {span.layers: span.lowest for span in found.calibration.spans}
    assert [layers for layers, value in lowest.items() if value is not None] == [found.pushes[0].layers]


def test_the_edge_is_found_in_few_readings() -> None:
    for budget in (0.001, 0.1, 1.0):
        for curve in (1e-4, 0.02, 3.0):
            tried: list[float] = []

            def kl(size: float, curve: float = curve, tried: list[float] = tried) -> float:
                tried.append(size)
                return curve * size**2 + 0.3 * curve * size**3

            edge = _kl_edge(kl, budget)
            assert edge == LARGEST or kl(edge) == pytest.approx(budget, rel=0.1)
            assert len(set(tried)) <= READINGS + 3


def test_a_killed_run_goes_on_from_the_last_span(tmp_path: Path) -> None:
    lm, vector, spans = tiny_lm(), random_vector(), [(1,), (2,), (1, 2)]
    own, values = counted(peak(100.0))
    whole = calibrate(lm, vector, own, PROMPTS, spans=spans, progress=False)

    def dying(lm: LanguageModel, prompts: list[str], dial: Dial) -> Tensor:
        if len(values) > 2 * STEPS:
            raise KeyboardInterrupt
        return own.measure(lm, prompts, dial)

    values.clear()
    dying.__qualname__, dying.__module__ = own.measure.__qualname__, own.measure.__module__
    with pytest.raises(KeyboardInterrupt):
        calibrate(lm, vector, Score(own.name, own.items, dying, own.own_slider), PROMPTS, spans=spans,
                  folder=tmp_path, progress=False)  # fmt: skip
    assert len(list(tmp_path.iterdir())) == 2
    values.clear()
    again = calibrate(lm, vector, own, PROMPTS, spans=spans, folder=tmp_path, progress=False)
    assert again.summary() == whole.summary()
    assert sum(value > 0 for value in values) == STEPS


def test_how_long_it_takes_is_said_before_it_starts(capsys: pytest.CaptureFixture[str]) -> None:
    def slow(_lm: LanguageModel, prompts: list[str], dial: Dial) -> Tensor:
        clock.now += 10.0
        return peak(100.0).measure(_lm, prompts, dial)

    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("probes.calibration.perf_counter", lambda: clock.now)
        calibrate(tiny_lm(), random_vector(), Score("slow", PROMPTS, slow, "slider"), PROMPTS, spans=[(1,), (2,)])
    assert "calibrating 'unnamed': 2 spans of layers, and the other side of one, about 3 min" in capsys.readouterr().err
    assert clock.now == pytest.approx(180.0, rel=0.1)


class Clock:
    """A clock that stands still unless it is moved."""

    now = 0.0
