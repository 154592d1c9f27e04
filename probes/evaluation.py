"""evaluate() and compare(): reports of scores, answers and verdicts under a grid of settings."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from probes.answers import Answers, Decoding
from probes.benchmarks import Kind, LoadedBenchmark
from probes.cells import Cells
from probes.grid_scores import BUILTIN_OWN, FIRST_TOKEN_SCORES, PAIRS, Score, damage_scores, scores_beside
from probes.judges import Judge, RefusalJudge
from probes.measurements import MeasuredBenchmark
from probes.methods import Method, SliderMethod
from probes.own_scores import scores_of_axes
from probes.report import Report
from probes.report_shape import is_measured
from probes.result_cache import ResultCache
from steering import ContrastSet, LanguageModel, Sliders
from steering.display.labels import setting_label
from steering.errors import SteeringError, quoted
from steering.scoring.own_pairs import check_pairs
from steering.vectors.slider import SliderValues, check_reads_harm

LIBRARIES = ("trimtab", "torch", "transformers", "numpy", "scikit-learn")
"""Whose versions a report names."""


def evaluate(
    lm: LanguageModel,
    method: Sliders | Method,
    grid: Mapping[str, Sequence[float]],
    scores: Sequence[Score] | None = None,
    *,
    benchmarks: Sequence[LoadedBenchmark] = (),
    judges: Sequence[Judge] | None = None,
    decoding: Decoding | None = None,
    harm: Callable[[Sequence[str]], Sequence[float]] | None = None,
    pairs: Mapping[str, ContrastSet] | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Report:
    """Measure every score under every combination of axis values and, with benchmarks, answer and judge their prompts.

    Args:
        lm: the model.
        method: sliders, or a baseline such as `Prompting()`, which is measured by its answers alone.
        grid: values of each axis; axes that it leaves out stay at 0. 0 must be among the values of each.
        scores: what sliders are measured by without generation; the built-in ones unless given, none for ().
        benchmarks: prompts to answer, such as `builtin_benchmark()`; without any no text is generated.
        judges: label the answers; `RefusalJudge()` unless given. Figures are drawn from the first.
        decoding: how answers are written; greedy, 64 tokens, unless given.
        harm: gives the probabilities of being harmful of benchmark prompts' texts, such as a guard model's or
            `labelled_harm`, in place of what gates read. Answers alone are measured then.
        pairs: by axis of one's own, the contrast set that it was extracted from: the pairs that were held out give
            the score that it is meant to raise (see `contrast_score`). Built-in sets are known.
        folder: where finished cells are kept. Nothing is written without it.
        progress: show bars.

    Returns:
        The report: `report.cross_effects` is the matrix, `report.to_html(path)` the page.

    Raises:
        SteeringError: for a grid, scores, pairs or benchmarks that don't fit, for an axis without a score that it is
            meant to raise, and for harm that no slider reads.

    Example:
        >>> from probes import Score, evaluate
        >>> from steering import refusal_score
        >>> own = Score("refusal", ["Hi", "Why?"], lambda lm, prompts, dial: refusal_score(lm, prompts), own_slider="a")
        >>> evaluate(lm, Sliders(a=vector), {"a": [0.0, 1.0]}, [own], progress=False)
        Report('tiny-Llama', 2 settings of a)
    """
    method = _as_method(method)
    if harm is not None:
        method, scores = _told(method, harm, scores, benchmarks), ()
    settings = _settings(method, grid)
    for names, what in (([b.name for b in benchmarks], "benchmark"), ([j.name for j in judges or ()], "judge")):
        if len(set(names)) < len(names):
            raise SteeringError(f"Expected every {what} under a name of its own, found {quoted(names)}; rename one.")
    made = _scores_of_own_sets(lm, method, grid, scores, pairs or {})
    cells = ResultCache(None if folder is None else Path(folder))
    run = Cells(lm, method, settings, decoding or Decoding(), cells, progress)
    answers = {benchmark.name: run.answers(benchmark) for benchmark in benchmarks}
    verdicts = {
        judge.name: {
            benchmark.name: run.verdicts(judge, benchmark, answers[benchmark.name]) for benchmark in benchmarks
        }
        for judge in (judges or [RefusalJudge()] if benchmarks else ())
    }
    own: dict[str, str] = {}
    found = _first_token_scores(benchmarks, answers, len(settings))
    sliders = method.sliders if isinstance(method, SliderMethod) else None
    if sliders is not None:
        if scores is None:
            bare = settings.index(dict.fromkeys(grid, 0.0))
            bare_answers = {name: rows[bare][0].texts for name, rows in answers.items()}
            scores = [*scores_beside(found), *damage_scores(lm, benchmarks, bare_answers)]
        own = {"safety": BUILTIN_OWN["safety"]} if BUILTIN_OWN["safety"] in found and "safety" in grid else {}
        own |= {score.own_slider: score.name for score in [*scores, *made] if score.own_slider}
        named = {score.name: score for score in [*scores, *made]}
        found |= run.scores(list(named.values()), sliders) if named else {}
    _check_finite(found, settings)
    return Report(
        model=lm.identity,
        axes=dict(method.axes),
        sliders={name: slider.summary() for name, slider in (sliders or {}).items()},
        versions={library: version(library) for library in LIBRARIES},
        settings=tuple(settings),
        scores=found,
        own={axis: own[axis] for axis in grid if axis in own},
        decoding=run.decoding if benchmarks else None,
        benchmarks={
            b.name: MeasuredBenchmark(prompts=b.prompts, license=b.license, citation=b.citation) for b in benchmarks
        },
        answers={name: tuple(tuple(run.texts for run in runs) for runs in rows) for name, rows in answers.items()},
        verdicts=verdicts,
    )


def compare(
    lm: LanguageModel,
    methods: Mapping[str, Sliders | Method],
    values: Sequence[float],
    benchmarks: Sequence[LoadedBenchmark],
    *,
    judges: Sequence[Judge] | None = None,
    decoding: Decoding | None = None,
    pairs: Mapping[str, ContrastSet] | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> dict[str, Report]:
    """Several methods on the same prompts, decoding and judges, by their answers alone.

    Sliders with an axis in `pairs` are measured by scores too, as `evaluate` does it: answers to benchmarks don't tell
    how far an axis of one's own does what it is for.

    Args:
        lm: the model.
        methods: sliders and baselines by the names that they have in reports.
        values: of every axis of every method; 0 among them.
        benchmarks: prompts to answer, such as `[builtin_benchmark()]`.
        judges: as `evaluate` takes them.
        decoding: as `evaluate` takes it.
        pairs: as `evaluate` takes them.
        folder: where finished cells are kept. Nothing is written without it.
        progress: show bars.

    Returns:
        A report for each method; `write_html(reports, path)` puts them on one page.

    Raises:
        SteeringError: for values, pairs or benchmarks that don't fit.
    """
    pairs = pairs or {}
    same: dict[str, Any] = {"judges": judges, "decoding": decoding, "folder": folder, "progress": progress}
    found = {name: _as_method(method) for name, method in methods.items()}
    axes_of = {name: method.axes if isinstance(method, SliderMethod) else () for name, method in found.items()}
    check_pairs(pairs, {axis: None for axes in axes_of.values() for axis in axes})

    def measured(name: str, method: Method) -> Report:
        grid = dict.fromkeys(method.axes, values)
        given = {axis: pairs[axis] for axis in axes_of[name] if axis in pairs}
        return evaluate(lm, method, grid, None if given else (), benchmarks=benchmarks, pairs=given, **same)

    return {name: measured(name, method) for name, method in found.items()}


def _check_finite(scores: Mapping[str, Sequence[Sequence[float]]], settings: Sequence[SliderValues]) -> None:
    for name, rows in scores.items():
        for row, setting in zip(rows, settings, strict=True):
            if not all(map(is_measured, row)):
                raise SteeringError(
                    f"The score {name!r} is infinite or undefined under {setting_label(setting)!r}, as the model's own "
                    "numbers are there; use values nearer to 0."
                )


def _as_method(method: Sliders | Method) -> Method:
    return SliderMethod(method) if isinstance(method, Sliders) else method


def _scores_of_own_sets(
    lm: LanguageModel,
    method: Method,
    grid: Mapping[str, Sequence[float]],
    scores: Sequence[Score] | None,
    pairs: Mapping[str, ContrastSet],
) -> list[Score]:
    """Scores of axes whose pairs are given, or, where scores are wanted at all, that no other score is for."""
    check_pairs(pairs, grid if isinstance(method, SliderMethod) else ())
    if not isinstance(method, SliderMethod):
        return []
    claimed = {*BUILTIN_OWN} if scores is None else {score.own_slider for score in scores} or {*grid}
    axes = [axis for axis in grid if axis in pairs or axis not in claimed]
    return scores_of_axes(lm, method.sliders, axes, pairs, PAIRS)


def _told(
    method: Method,
    harm: Callable[[Sequence[str]], Sequence[float]],
    scores: Sequence[Score] | None,
    benchmarks: Sequence[LoadedBenchmark],
) -> SliderMethod:
    """The sliders with the harm of every prompt. Raises SteeringError where there is nothing that it could change."""
    if not isinstance(method, SliderMethod) or scores or not benchmarks:
        raise SteeringError(
            "Harm is given for the prompts of benchmarks while sliders answer them; evaluate sliders on benchmarks, "
            "without other scores."
        )
    check_reads_harm(method.sliders.values())
    prompts = [prompt for benchmark in benchmarks for prompt in benchmark.prompts]
    found = [float(one) for one in harm([prompt.text for prompt in prompts])]
    if len(found) != len(prompts):
        raise SteeringError(f"Expected harm for each of {len(prompts)} prompts, found {len(found)}.")
    return replace(method, harm=dict(zip((prompt.chat for prompt in prompts), found, strict=True)))


def _settings(method: Method, grid: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Every combination of the values. Raises SteeringError for an unknown axis, or one without 0."""
    if unknown := [axis for axis in grid if axis not in method.axes]:
        raise SteeringError(f"There is no axis {quoted(unknown)}; the sliders are {quoted(method.axes)}.")
    if without := [axis for axis, values in grid.items() if 0.0 not in values]:
        raise SteeringError(f"Expected 0 among the values of every slider, found none for {quoted(without)}; add it.")
    return [dict(zip(grid, map(float, values), strict=True)) for values in itertools.product(*grid.values())]


def _first_token_scores(
    benchmarks: Sequence[LoadedBenchmark], answers: Mapping[str, Sequence[Sequence[Answers]]], settings: int
) -> dict[str, tuple[tuple[float, ...], ...]]:
    """How answers began, by kind of prompt: read off the answering itself, so that no prompt is read twice."""

    def began(kind: Kind, setting: int) -> tuple[float, ...]:
        runs = [(benchmark.prompts, answers[benchmark.name][setting][0].refusal) for benchmark in benchmarks]
        # What is chosen among several answers has no such score.
        return tuple(value for run in runs for prompt, value in zip(*run, strict=False) if prompt.kind == kind)

    rows = {
        name: tuple(began(kind, setting) for setting in range(settings)) for kind, name in FIRST_TOKEN_SCORES.items()
    }
    return {name: row for name, row in rows.items() if all(len(values) == len(row[0]) > 0 for values in row)}
