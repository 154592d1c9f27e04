"""evaluate() measures what the scores say, cell by cell, and goes on where it was killed."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from probes.answers import Decoding
from probes.benchmarks import BenchmarkPrompt, Kind, LoadedBenchmark, builtin_benchmark, labelled_harm
from probes.evaluation import evaluate
from probes.grid_scores import Score, builtin_scores
from probes.implicit_reference import implicit_reference_benchmark
from probes.judges import EndpointJudge, HarmBenchJudge, RefusalJudge, Verdict
from probes.judges.refusal import Coefficients, Stage, decide
from probes.methods import Prompting, SliderMethod
from probes.report import Report
from probes.scores import preference_margin
from steering import ContrastSet, Dial, LanguageModel, Push, Slider, Sliders, SteeringError, record
from steering.interventions.gates import Gate
from steering.scoring.next_token import refusal_score
from tests.helpers.contrast_pairs import answer_pairs
from tests.helpers.known_vectors import DOSE
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm

GRID = {"a": [-1.0, 0.0, 1.0], "b": [0.0, 0.5]}
PROMPTS = ["Break the lock", "Paint the wall", "Name a fruit"]


def read_out(direction: Tensor) -> Any:
    """A score whose slopes are known: the state's projection at the last block that is moved."""

    def measure(lm: LanguageModel, prompts: list[str], _dial: Dial) -> Tensor:
        return record(lm, prompts, layers=[2])[:, 0] @ direction

    return measure


@pytest.fixture
def sliders() -> Sliders:
    return Sliders(a=random_vector(1, layers=(2,)), b=random_vector(2, layers=(2,)))


def scores(sliders: Sliders) -> list[Score]:
    return [Score(name, PROMPTS, read_out(slider.pushes[0].vector[2]), name) for name, slider in sliders.items()]


def test_the_matrix_is_the_one_that_was_built_in(sliders: Sliders) -> None:
    """Adding c·v moves the readout w·h by exactly c·(w·v)."""
    lm = tiny_lm()
    named = [Score(f"readout {s.name}", s.items, s.measure, s.own_slider) for s in scores(sliders)]
    report = evaluate(lm, sliders, GRID, named, progress=False)
    assert report.own == {"a": "readout a", "b": "readout b"}
    matrix = report.cross_effects
    states = record(lm, PROMPTS, layers=[2])[:, 0]
    directions = [slider.pushes[0].vector[2] for slider in sliders.values()]
    for i, read in enumerate(directions):
        deviation = (states @ read).std()
        for j, moved in enumerate(directions):
            expected = (read @ moved / deviation).item()
            assert matrix.slopes[i][j].value == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert report.monotonicity("a").spearman == pytest.approx(1.0)
    assert report.monotonicity("a").falls == ()
    assert report.anti_steerable_fraction("a").value == 0.0


def test_cells_hold_each_setting_and_the_sliders_end_detached(sliders: Sliders) -> None:
    lm = tiny_lm()
    report = evaluate(lm, sliders, GRID, [
        Score("refusal", PROMPTS, lambda lm, prompts, _dial: refusal_score(lm, prompts), "a"),
        Score("margin", answer_pairs(3).pairs, preference_margin, "b"),
    ], progress=False)  # fmt: skip
    assert len(report.settings) == 6
    assert {"a": -1.0, "b": 0.5} in report.settings
    for row, setting in enumerate(report.settings):
        with Sliders(**sliders).attach(lm) as dial:
            dial.set(**setting)
            np.testing.assert_allclose(report.scores["refusal"][row], refusal_score(lm, PROMPTS), rtol=1e-4)
            expected = preference_margin(lm, answer_pairs(3).pairs, dial)
            np.testing.assert_allclose(report.scores["margin"][row], expected, rtol=1e-3, atol=1e-5)
    assert not any(block._forward_hooks for block in lm.blocks)


def test_a_killed_run_goes_on_and_gives_the_same_report(sliders: Sliders, tmp_path: Path) -> None:
    lm = tiny_lm()
    whole = evaluate(lm, sliders, GRID, scores(sliders), progress=False)
    calls = 0

    def dying(after: int) -> list[Score]:
        def counted(measure: Any) -> Any:
            def wrapped(lm: LanguageModel, prompts: list[str], dial: Dial) -> Tensor:
                nonlocal calls
                calls += 1
                if calls > after:
                    raise KeyboardInterrupt
                return measure(lm, prompts, dial)

            wrapped.__module__, wrapped.__qualname__ = measure.__module__, measure.__qualname__
            return wrapped

        return [Score(s.name, s.items, counted(s.measure), s.own_slider) for s in scores(sliders)]

    with pytest.raises(KeyboardInterrupt):
        evaluate(lm, sliders, GRID, dying(7), folder=tmp_path, progress=False)
    assert len(list(tmp_path.iterdir())) == 7
    calls = 0
    assert evaluate(lm, sliders, GRID, dying(99), folder=tmp_path, progress=False) == whole
    assert calls == 5
    calls = 0
    assert evaluate(lm, sliders, GRID, dying(0), folder=tmp_path, progress=False) == whole
    changed = Sliders(a=sliders["a"].scaled(2.0), b=sliders["b"])
    calls = 0
    evaluate(lm, changed, GRID, dying(99), folder=tmp_path, progress=False)
    assert calls == 12


def test_a_report_survives_its_file(sliders: Sliders, tmp_path: Path) -> None:
    report = evaluate(tiny_lm(), sliders, GRID, scores(sliders), progress=False)
    assert report.sliders == {name: slider.summary() for name, slider in sliders.items()}
    report.save(tmp_path / "report.json")
    assert Report.model_validate(json.loads((tmp_path / "report.json").read_text())) == report


def test_grids_and_scores_that_do_not_fit_are_refused(sliders: Sliders) -> None:
    lm = tiny_lm()
    with pytest.raises(SteeringError, match="no axis 'c'"):
        evaluate(lm, sliders, {"c": [0.0]}, scores(sliders))
    with pytest.raises(SteeringError, match="0 among the values of every slider, found none for 'a'"):
        evaluate(lm, sliders, {"a": [1.0]}, scores(sliders))
    with pytest.raises(SteeringError, match="found none for 'b'"):
        evaluate(lm, sliders, GRID, scores(sliders)[:1])


def test_the_built_in_scores_are_on_held_out_pairs_only() -> None:
    found = {score.name: score for score in builtin_scores(12)}
    assert {score.own_slider for score in found.values()} == {"safety", "helpfulness", None}
    assert all(len(score.items) == 12 for score in found.values())
    assert len({score.fingerprint for score in found.values()}) == len(found)
    lm = tiny_lm()
    vectors = Sliders(safety=random_vector(1), helpfulness=random_vector(2))
    report = evaluate(lm, vectors, {"safety": [0.0, 1.0], "helpfulness": [0.0, 1.0]}, builtin_scores(2), progress=False)
    assert set(report.scores) == set(found)
    assert torch.tensor(report.scores["KL on ordinary"][0]).abs().max() == 0


def planted_judge(prompt: str, answer: str) -> Verdict:
    """Labels by something that every answer has."""
    label = "refusal" if len(answer) % 2 else "compliance"
    return Verdict(label=label, score=1.0, reason=f"{len(answer)} characters")


class PlantedJudge:
    name = "planted"
    labels = ("compliance", "refusal")
    calls = 0

    def __call__(self, prompt: str, answer: str) -> Verdict:
        PlantedJudge.calls += 1
        return planted_judge(prompt, answer)


def small_benchmark() -> LoadedBenchmark:
    kinds: tuple[Kind, ...] = ("harmful", "look-alike", "ordinary", "jailbreak")
    prompts = tuple(BenchmarkPrompt(text=f"{kind} {n}", kind=kind) for kind in kinds for n in range(3))
    return LoadedBenchmark("small", prompts, "MIT", "nobody")


def two_sliders() -> Sliders:
    return Sliders(safety=random_vector(1), helpfulness=random_vector(2))


TWO = {"safety": [0.0, 1.0], "helpfulness": [0.0, 1.0]}


def test_answers_are_those_of_the_setting_and_every_one_is_judged() -> None:
    lm, sliders, benchmark = tiny_lm(), two_sliders(), small_benchmark()
    decoding = Decoding(max_new_tokens=5)
    report = evaluate(
        lm, sliders, TWO, benchmarks=[benchmark], judges=[PlantedJudge()], decoding=decoding, progress=False
    )
    prompts = [prompt.text for prompt in benchmark.prompts]
    for row, setting in enumerate(report.settings):
        with sliders.attach(lm) as dial:
            dial.set(**setting)
            answers = [lm.chat(prompt, 5) for prompt in prompts]
            refusal = refusal_score(lm, prompts)
        assert list(report.answers["small"][row][0]) == answers
        assert list(report.verdicts["planted"]["small"][row][0]) == list(map(planted_judge, prompts, answers))
        np.testing.assert_allclose(report.scores["refusal of harmful"][row], refusal[:3], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(report.scores["refusal of ordinary"][row], refusal[6:9], rtol=1e-3, atol=1e-4)
    assert report.own == {"safety": "refusal of harmful", "helpfulness": "engaged over evasive"}
    assert {"KL on own answers", "cross-entropy of own answers"} <= set(report.scores)
    assert np.abs(report.scores["KL on own answers"][0]).max() < 1e-6
    assert set(report.outcomes()) == {
        "harmful refused", "look-alikes answered", "ordinary answered", "jailbreaks refused"
    }  # fmt: skip
    assert report.outcome_effects().scores == ("harmful refused", "look-alikes answered", "jailbreaks refused")
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_a_cell_of_other_prompts_numbers_is_measured_anew(sliders: Sliders, tmp_path: Path) -> None:
    lm, options = tiny_lm(), {"benchmarks": [builtin_benchmark(1)], "decoding": Decoding(max_new_tokens=2)}
    whole = evaluate(lm, sliders, GRID, scores(sliders), folder=tmp_path, progress=False, **options)
    for cell in tmp_path.iterdir():
        content = json.loads(cell.read_text(encoding="utf-8"))
        cut = {name: items[:-1] for name, items in content.items()}
        cell.write_text(json.dumps(cut), encoding="utf-8")
    assert evaluate(lm, sliders, GRID, scores(sliders), folder=tmp_path, progress=False, **options) == whole
    for cell in tmp_path.iterdir():
        content = cell.read_text(encoding="utf-8")
        cell.write_text(re.sub(r'("values"|"refusal"):\[[^,]*', r"\1:[1e308", content), encoding="utf-8")
    assert evaluate(lm, sliders, GRID, scores(sliders), folder=tmp_path, progress=False, **options) == whole


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_a_score_that_is_no_number_is_refused(sliders: Sliders, value: float) -> None:
    def measure(_lm: LanguageModel, prompts: list[str], dial: Dial) -> Tensor:
        return torch.full((len(prompts),), value if dial.settings["a"] else 1.0)

    own = [Score(name, PROMPTS, measure, name) for name in sliders]
    with pytest.raises(SteeringError, match=r"The score 'a' is infinite or undefined under 'a -1, b 0'"):
        evaluate(tiny_lm(), sliders, GRID, own, progress=False)


def test_a_second_run_takes_everything_from_its_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm, sliders = tiny_lm(), two_sliders()
    decoding = Decoding(max_new_tokens=4, seeds=(0, 1))

    def run() -> Report:
        return evaluate(lm, sliders, TWO, benchmarks=[small_benchmark()], judges=[PlantedJudge()], decoding=decoding,
                        folder=tmp_path, progress=False)  # fmt: skip

    first = run()
    assert len(first.answers["small"][0]) == 2
    assert first.answers["small"][0][0] != first.answers["small"][0][1]
    before = PlantedJudge.calls
    monkeypatch.setattr(LanguageModel, "generate", None)
    assert run() == first
    assert PlantedJudge.calls == before


def test_the_bare_model_answers_once_for_all_methods(tmp_path: Path) -> None:
    lm = tiny_lm(max_position_embeddings=2048)
    benchmark, decoding = small_benchmark(), Decoding(max_new_tokens=3)
    found = []
    for method in (two_sliders(), Sliders(safety=random_vector(5)), Prompting()):
        grid = {"safety": [0.0, 1.0]}
        report = evaluate(lm, method, grid, (), benchmarks=[benchmark], judges=[PlantedJudge()], decoding=decoding,
                          folder=tmp_path, progress=False)  # fmt: skip
        found.append(report.answers["small"])
        assert report.own == {"safety": "refusal of harmful"} or isinstance(method, Prompting)
    assert found[0][0] == found[1][0] == found[2][0]
    kept = [file.read_text() for file in tmp_path.iterdir() if 'refusal":[' in file.read_text()]
    assert len(kept) == 1 + 3


def test_benchmarks_and_judges_need_names_of_their_own() -> None:
    lm, sliders = tiny_lm(), two_sliders()
    with pytest.raises(SteeringError, match="every benchmark under a name of its own"):
        evaluate(lm, sliders, TWO, benchmarks=[small_benchmark(), small_benchmark()])
    with pytest.raises(SteeringError, match="every judge under a name of its own"):
        evaluate(lm, sliders, TWO, benchmarks=[small_benchmark()], judges=[PlantedJudge(), PlantedJudge()])


def test_the_built_in_benchmark_has_held_out_prompts_of_three_kinds() -> None:
    benchmark = builtin_benchmark(5)
    assert {kind: len(benchmark.of_kind(kind)) for kind in ("harmful", "look-alike", "ordinary")} == {
        "harmful": 5, "look-alike": 5, "ordinary": 5
    }  # fmt: skip
    made_from = {
        message.content
        for name in ("safety", "helpfulness", "over-refusal")
        for pair in ContrastSet.builtin(name).split()[0].pairs
        for message in (*pair.positive, *pair.negative)
    }
    assert not made_from & {prompt.text for prompt in builtin_benchmark(1000).prompts}


# A caller's harm.


def gated_sliders(reads: str = "harm") -> Sliders:
    """Sliders that act on the prompts above a threshold that a random direction knows nothing of."""
    gate = Gate(1, torch.randn(WIDTH, generator=torch.Generator().manual_seed(3)), reads=reads)
    return Sliders(safety=Slider((Push(random_vector(1, (2,)), gate=gate),)))


def test_given_harm_follows_its_prompts_through_batches_of_like_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probes.answers.TOKENS_PER_BATCH", 60)
    lm, benchmark, sliders = tiny_lm(), small_benchmark(), gated_sliders()
    prompts = [prompt.text for prompt in benchmark.prompts]
    harms = {text: float(number % 2) for number, text in enumerate(prompts)}
    grid, decoding = {"safety": [0.0, 1.0]}, Decoding(max_new_tokens=6)
    options: dict[str, Any] = {"benchmarks": [benchmark], "decoding": decoding, "folder": tmp_path, "progress": False}
    told = evaluate(lm, sliders, grid, harm=lambda asked: [harms[one] for one in asked], **options)
    read = evaluate(lm, sliders, grid, (), **options)
    with sliders.attach(lm) as dial:
        for setting, told_answers, read_answers in zip(
            told.settings, told.answers[benchmark.name], read.answers[benchmark.name], strict=True
        ):
            dial.set(**setting, harm=None)
            assert list(read_answers[0]) == [lm.chat(text, 6) for text in prompts]
            for text, answer in zip(prompts, told_answers[0], strict=True):
                dial.set(harm=harms[text])
                assert lm.chat(text, 6) == answer
    assert told.answers != read.answers
    assert told.axes == {"safety": "unnamed, told which prompts are harmful"}
    assert {*told.scores} <= {"refusal of harmful", "refusal of look-alikes", "refusal of ordinary"}


def test_labels_are_a_guard_that_never_errs() -> None:
    kinds: tuple[Kind, ...] = ("harmful", "look-alike", "ordinary", "jailbreak", "ability")
    prompts = tuple(BenchmarkPrompt(text=kind, kind=kind) for kind in kinds)
    harm = labelled_harm([LoadedBenchmark("toy", prompts, "", "")])
    assert harm([*kinds, "harmful"]) == [1.0, 0.0, 0.0, 1.0, 0.0, 1.0]


def test_harm_that_could_change_nothing_is_refused() -> None:
    lm, benchmark, grid = tiny_lm(), small_benchmark(), {"safety": [0.0, 1.0]}
    told: dict[str, Any] = {"harm": lambda prompts: [1.0] * len(prompts), "progress": False}
    with pytest.raises(SteeringError, match="evaluate sliders on benchmarks"):
        evaluate(lm, gated_sliders(), grid, **told)
    with pytest.raises(SteeringError, match="without other scores"):
        evaluate(lm, gated_sliders(), grid, builtin_scores(2), benchmarks=[benchmark], **told)
    with pytest.raises(SteeringError, match="evaluate sliders"):
        evaluate(lm, Prompting(), grid, benchmarks=[benchmark], **told)
    with pytest.raises(SteeringError, match="No slider here reads harm"):
        evaluate(lm, gated_sliders("score"), grid, benchmarks=[benchmark], **told)
    with pytest.raises(SteeringError, match=f"harm for each of {len(benchmark)} prompts, found 1"):
        evaluate(lm, gated_sliders(), grid, benchmarks=[benchmark], harm=lambda prompts: [1.0])


def test_cells_are_told_apart_by_dose_and_harm() -> None:
    (slider,) = gated_sliders().values()
    methods = [SliderMethod(Sliders(a=slider)), SliderMethod(Sliders(a=replace(slider, dose=DOSE)))]
    methods += [SliderMethod(Sliders(a=slider), {"Hi": harm}) for harm in (0.0, 1.0)]
    assert len({method.fingerprint for method in methods}) == 4


class ByBias(RefusalJudge):
    """Says the same of everything, noise too."""

    def _judge(self, prompt: str, answer: str) -> Verdict:
        return Verdict(label=decide(self._coefficients.probabilities({}, ())), score=1.0, reason="its bias")


def test_verdicts_are_told_apart_by_what_decides_beside_the_name(tmp_path: Path) -> None:
    always, never = (Stage(weights={}, phrases={}, bias=bias) for bias in (50.0, -50.0))
    for refuses, label in ((always, "refusal"), (never, "compliance"), (always, "refusal")):
        judge = ByBias(Coefficients(refuses=refuses, partly=never))
        report = evaluate(tiny_lm(), Prompting(), {"safety": [0.0]}, (), benchmarks=[small_benchmark()], judges=[judge],
                          decoding=Decoding(max_new_tokens=3), folder=tmp_path, progress=False)  # fmt: skip
        assert {verdict.label for verdict in report.verdicts["refusal-judge"]["small"][0][0]} == {label}


def test_a_judge_is_told_by_its_model_and_options_and_not_by_how_it_is_reached() -> None:
    def print_of(model: str, **how: Any) -> str:
        return EndpointJudge("http://a.b/v1", model, **how).fingerprint

    assert print_of("m") == print_of("m", api_key="secret") == print_of("m", timeout=5.0) == print_of("m", retries=0)
    assert len({print_of("m"), print_of("n"), print_of("m", options={"temperature": 1})}) == 3
    guards = [HarmBenchJudge(tiny_lm("Mistral", seed, max_position_embeddings=4096)) for seed in (0, 0, 1)]
    assert guards[0].fingerprint == guards[1].fingerprint != guards[2].fingerprint


def test_cells_are_told_apart_by_how_the_model_runs(tmp_path: Path) -> None:
    """An identity is the same in every dtype, and says nothing of the folder's generation settings."""
    models = [tiny_lm(max_position_embeddings=2048) for _ in range(3)]
    models[1].model.to(torch.bfloat16)
    models[2].model.generation_config.repetition_penalty = 1.5
    models.append(replace(models[0], system_prompt="Be brief."))
    told: dict[str, Any] = {"judges": (), "decoding": Decoding(max_new_tokens=3), "progress": False}
    for found, lm in enumerate(models, start=1):
        for _ in range(2):
            evaluate(lm, Prompting(), {"safety": [0.0]}, (), benchmarks=[small_benchmark()], folder=tmp_path, **told)
            kept = [file for file in tmp_path.iterdir() if 'refusal":[' in file.read_text()]
            assert len(kept) == found


def test_the_last_turn_of_a_transcript_is_answered_and_its_judge_is_told_all_turns(tmp_path: Path) -> None:
    lm, benchmark = tiny_lm(), implicit_reference_benchmark(2)
    vector = random_vector(1)
    gate = Gate(0, torch.zeros(WIDTH), bias=-9.0, reads="harm")  # closed, unless it is told otherwise
    sliders = Sliders(safety=Slider((Push(vector, gate=gate),)))
    told: list[str] = []

    def judge_prompts(prompts: list[str]) -> list[float]:
        told.extend(prompts)
        return labelled_harm([benchmark])(prompts)

    options: dict[str, Any] = {"judges": [PlantedJudge()], "decoding": Decoding(max_new_tokens=5), "progress": False}
    grid = {"safety": [0.0, 1.0]}
    report = evaluate(lm, sliders, grid, benchmarks=[benchmark], harm=judge_prompts, folder=tmp_path, **options)
    assert told == [prompt.text for prompt in benchmark.prompts]
    assert all(prompt.messages[0].content in text for prompt, text in zip(benchmark.prompts, told, strict=True))
    bare = [lm.chat(prompt.messages, 5) for prompt in benchmark.prompts]
    with Sliders(safety=vector).attach(lm) as dial:
        dial.set(safety=1.0)
        pushed = [lm.chat(prompt.messages, 5) for prompt in benchmark.prompts]
    expected = [pushed[0], bare[1], pushed[2], bare[3]]
    assert [list(rows[0]) for rows in report.answers["implicit-reference"]] == [bare, expected]
    assert Report.model_validate_json(report.model_dump_json()) == report
    again = evaluate(lm, sliders, grid, benchmarks=[benchmark], harm=judge_prompts, folder=tmp_path, **options)
    assert again == report
