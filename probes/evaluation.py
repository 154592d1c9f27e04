"""evaluate(): scores, answers and verdicts of prompts under a grid of settings, cell by cell.

A cell is one score, one benchmark's answers, or one judge's verdicts, under one setting. With a folder every finished
cell is kept there, so that a run that was killed goes on from the last one and gives the same report.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel
from tqdm.auto import tqdm

from probes.answers import Answers, Decoding
from probes.benchmarks import LoadedBenchmark
from probes.grid_scores import FIRST_TOKEN_SCORES, Score, damage_scores, scores_beside
from probes.judges import Judge, RefusalJudge, Verdict
from probes.methods import Method, SliderMethod
from probes.report import MeasuredBenchmark, Report
from probes.result_cache import ResultCache
from steering import LanguageModel, Sliders
from steering.errors import SteeringError, quoted
from steering.vectors.slider import SliderValues
from steering.vectors.summary import SliderSummary

Item = TypeVar("Item")
LIBRARIES = ("trimtab", "torch", "transformers", "numpy", "scikit-learn")
"""Whose versions a report names."""


class _Values(BaseModel, frozen=True, extra="forbid"):
    values: tuple[float, ...]


class _Verdicts(BaseModel, frozen=True, extra="forbid"):
    verdicts: tuple[Verdict, ...]


def evaluate(
    lm: LanguageModel,
    method: Sliders | Method,
    grid: Mapping[str, Sequence[float]],
    scores: Sequence[Score] | None = None,
    *,
    benchmarks: Sequence[LoadedBenchmark] = (),
    judges: Sequence[Judge] | None = None,
    decoding: Decoding | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Report:
    """Measure every score under every combination of axis values and, with benchmarks, answer and judge their prompts.

    Args:
        lm: the model.
        method: sliders, or a baseline such as `Prompting()`, which is measured by its answers alone.
        grid: values of each axis; axes that it leaves out stay at 0. 0 must be among the values of each.
        scores: without generation, of sliders; the built-in ones unless given, none for ().
        benchmarks: prompts to answer, such as `builtin_benchmark()`; without any no text is generated.
        judges: of the answers; `RefusalJudge()` unless given. The first is the one that figures are drawn from.
        decoding: how answers are written; greedy, 64 tokens, unless given.
        folder: where finished cells are kept. Nothing is written without it.
        progress: show bars.

    Returns:
        The report: `report.cross_effects` is the matrix, `report.to_html(path)` the page.

    Raises:
        SteeringError: for a grid, scores or benchmarks that don't fit.
    """
    method = SliderMethod(method) if isinstance(method, Sliders) else method
    settings = grid_settings(method, grid)
    for names, what in (([b.name for b in benchmarks], "benchmark"), ([j.name for j in judges or ()], "judge")):
        if len(set(names)) < len(names):
            raise SteeringError(f"Expected every {what} under a name of its own, found {quoted(names)}; rename one.")
    run = _Run(
        lm, method, settings, decoding or Decoding(), ResultCache(None if folder is None else Path(folder)), progress
    )
    answers = {benchmark.name: run.answers(benchmark) for benchmark in benchmarks}
    verdicts = {
        judge.name: {
            benchmark.name: run.verdicts(judge, benchmark, answers[benchmark.name]) for benchmark in benchmarks
        }
        for judge in (judges or [RefusalJudge()] if benchmarks else ())
    }
    own: dict[str, str] = {}
    found = _first_token_scores(benchmarks, answers)
    if isinstance(method, SliderMethod):
        if scores is None:
            bare = settings.index(dict.fromkeys(grid, 0.0))
            own_answers = {name: rows[bare][0].texts for name, rows in answers.items()}
            scores = [*scores_beside(found), *damage_scores(lm, benchmarks, own_answers)]
        own = {"safety": "refusal of harmful"} if "refusal of harmful" in found and "safety" in grid else {}
        own |= {score.own_slider: score.name for score in scores if score.own_slider}
        if (missing := [axis for axis in grid if axis not in own]) and scores:
            raise SteeringError(
                f"Expected for every slider a score that it is meant to raise, found none for {quoted(missing)}."
            )
        found |= {score.name: run.scores(score) for score in scores}
    return Report(
        model=lm.identity,
        axes=dict(method.axes),
        sliders=_summaries(method),
        versions=_versions(),
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
    folder: str | Path | None = None,
    progress: bool = True,
) -> dict[str, Report]:
    """Several methods on the same prompts, decoding and judges, by their answers alone.

    Args:
        lm: the model.
        methods: sliders and baselines by the names that they have in reports.
        values: of every axis of every method; 0 among them.
        benchmarks: prompts to answer, such as `[builtin_benchmark()]`.
        judges: as `evaluate` takes them.
        decoding: as `evaluate` takes it.
        folder: where finished cells are kept. Nothing is written without it.
        progress: show bars.

    Returns:
        A report for each method; `write_html(reports, path)` puts them on one page.

    Raises:
        SteeringError: for values or benchmarks that don't fit.
    """
    same: dict[str, Any] = {"judges": judges, "decoding": decoding, "folder": folder, "progress": progress}
    return {
        name: evaluate(lm, method, dict.fromkeys(_axes(method), values), (), benchmarks=benchmarks, **same)
        for name, method in methods.items()
    }


def _axes(method: Sliders | Method) -> Iterable[str]:
    return method if isinstance(method, Sliders) else method.axes


def grid_settings(method: Method, grid: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Every combination of the values. Raises SteeringError for an unknown axis, or one without 0."""
    if unknown := [axis for axis in grid if axis not in method.axes]:
        raise SteeringError(f"There is no axis {quoted(unknown)}; the sliders are {quoted(method.axes)}.")
    if without := [axis for axis, values in grid.items() if 0.0 not in values]:
        raise SteeringError(f"Expected 0 among the values of every slider, found none for {quoted(without)}; add it.")
    return [dict(zip(grid, map(float, values), strict=True)) for values in itertools.product(*grid.values())]


class _Run:
    """The parts of one evaluation that all cells share."""

    def __init__(
        self,
        lm: LanguageModel,
        method: Method,
        settings: Sequence[SliderValues],
        decoding: Decoding,
        cells: ResultCache,
        progress: bool,
    ) -> None:
        self.lm, self.method, self.settings, self.decoding, self.cells = lm, method, settings, decoding, cells
        self.progress = progress
        self.key = (lm.identity.model_dump(mode="json"), method.fingerprint)

    def answers(self, benchmark: LoadedBenchmark) -> list[list[Answers]]:
        """`[setting][run]`."""
        prompts = [prompt.text for prompt in benchmark.prompts]
        decoding = self.decoding.model_dump(mode="json", exclude={"seeds"})
        bare = self.key[0], "bare"  # whatever the method: all its axes at 0 are the bare model
        cells = [(setting, seed) for setting in self.settings for seed in self.decoding.runs]
        found = [
            self.cells.get(
                (*(self.key if any(setting.values()) else bare), prompts, decoding, seed, _moved(setting)),
                Answers,
                lambda setting=setting, seed=seed: self.method.answers(  # type: ignore[misc]
                    self.lm, prompts, setting, self.decoding, seed
                ),
            )
            for setting, seed in self._progress(cells, f"answering {benchmark.name}")
        ]
        width = len(self.decoding.runs)
        return [found[start : start + width] for start in range(0, len(found), width)]

    def verdicts(
        self, judge: Judge, benchmark: LoadedBenchmark, answers: Sequence[Sequence[Answers]]
    ) -> tuple[tuple[tuple[Verdict, ...], ...], ...]:
        """`[setting][run][prompt]`."""
        prompts = [prompt.text for prompt in benchmark.prompts]

        def judged(run: Answers) -> tuple[Verdict, ...]:
            return self.cells.get(
                (judge.name, version("trimtab"), prompts, run.texts),
                _Verdicts,
                lambda: _Verdicts(verdicts=tuple(map(judge, prompts, run.texts))),
            ).verdicts

        return tuple(
            tuple(judged(run) for run in runs)
            for runs in self._progress(answers, f"{judge.name} judging {benchmark.name}")
        )

    def scores(self, score: Score) -> tuple[tuple[float, ...], ...]:
        """`[setting][prompt]`."""
        assert isinstance(self.method, SliderMethod)
        with self.method.sliders.attach(self.lm) as dial, torch.inference_mode():

            def measure(setting: SliderValues) -> _Values:
                dial.set(**dict.fromkeys(dial.settings, 0.0) | dict(setting))
                return _Values(values=tuple(score.measure(self.lm, score.items, dial).tolist()))

            return tuple(
                self.cells.get(
                    (*self.key, score.fingerprint, sorted(setting.items())),
                    _Values,
                    lambda setting=setting: measure(setting),  # type: ignore[misc]
                ).values
                for setting in self._progress(self.settings, score.name)
            )

    def _progress(self, items: Sequence[Item], what: str) -> Iterable[Item]:
        shown: Iterable[Item] = tqdm(items, desc=what, unit="cell", disable=not self.progress)
        return shown


def _moved(setting: SliderValues) -> list[tuple[str, float]]:
    """The axes that are not at 0."""
    return sorted((axis, value) for axis, value in setting.items() if value)


def _first_token_scores(
    benchmarks: Sequence[LoadedBenchmark], answers: Mapping[str, Sequence[Sequence[Answers]]]
) -> dict[str, tuple[tuple[float, ...], ...]]:
    """How answers began, by kind of prompt: read off the answering itself, so that no prompt is read twice."""
    found: dict[str, tuple[tuple[float, ...], ...]] = {}
    for kind, name in FIRST_TOKEN_SCORES.items():
        rows: list[list[float]] = []
        for benchmark in benchmarks:
            wanted = [place for place, prompt in enumerate(benchmark.prompts) if prompt.kind == kind]
            for place, runs in enumerate(answers[benchmark.name]):
                rows += [[]] * (place == len(rows))
                rows[place] = rows[place] + [runs[0].refusal[column] for column in wanted if runs[0].refusal]
        if rows and all(len(row) == len(rows[0]) > 0 for row in rows):  # none where answers are chosen among several
            found[name] = tuple(map(tuple, rows))
    return found


def _summaries(method: Method) -> dict[str, SliderSummary]:
    sliders = method.sliders if isinstance(method, SliderMethod) else {}
    return {name: slider.summary() for name, slider in sliders.items()}


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found
