"""The cells of an evaluation: one score, one benchmark's answers, or one judge's verdicts, under one setting.

Each finished cell is kept, so that a run that was killed goes on from the last one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any, TypeVar

import torch
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from probes.answers import Answers, Decoding
from probes.benchmarks import LoadedBenchmark
from probes.grid_scores import Score
from probes.judges import Judge, Verdict
from probes.methods import Method
from probes.report_shape import is_measured
from probes.result_cache import ResultCache, model_key
from steering import LanguageModel, Sliders
from steering.progress import Progress
from steering.vectors.slider import SliderValues

Item = TypeVar("Item")


class _Values(BaseModel, frozen=True, extra="forbid"):
    values: tuple[float, ...]


class _Verdicts(BaseModel, frozen=True, extra="forbid"):
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Cells:
    """The parts of one evaluation that all cells share."""

    lm: LanguageModel
    method: Method
    settings: Sequence[SliderValues]
    decoding: Decoding
    kept: ResultCache
    progress: bool

    def answers(self, benchmark: LoadedBenchmark) -> list[list[Answers]]:
        """`[setting][run]`."""
        prompts = [prompt.chat for prompt in benchmark.prompts]
        decoding = self.decoding.model_dump(mode="json", exclude={"seeds"})

        def answered(setting: SliderValues, seed: int | None) -> Answers:
            moved = sorted((axis, value) for axis, value in setting.items() if value)
            key = self.key if moved else (self.key[0], "bare")  # the bare model is the same whatever the method
            return self.kept.get(
                (*key, to_jsonable_python(prompts), decoding, seed, moved),
                Answers,
                lambda: self.method.answers(self.lm, prompts, setting, self.decoding, seed),
                lambda found: len(found.texts) == len(prompts) and all(map(is_measured, found.refusal)),
            )

        cells = [(setting, seed) for setting in self.settings for seed in self.decoding.runs]
        found = [answered(*cell) for cell in self._progress(cells, f"answering {benchmark.name}")]
        width = len(self.decoding.runs)
        return [found[start : start + width] for start in range(0, len(found), width)]

    def verdicts(
        self, judge: Judge, benchmark: LoadedBenchmark, answers: Sequence[Sequence[Answers]]
    ) -> tuple[tuple[tuple[Verdict, ...], ...], ...]:
        """`[setting][run][prompt]`."""
        prompts = [prompt.text for prompt in benchmark.prompts]
        decides = getattr(judge, "fingerprint", "")

        def judged(run: Answers) -> tuple[Verdict, ...]:
            return self.kept.get(
                (judge.name, decides, version("trimtab"), prompts, run.texts),
                _Verdicts,
                lambda: _Verdicts(verdicts=tuple(map(judge, prompts, run.texts))),
                lambda found: len(found.verdicts) == len(prompts),
            ).verdicts

        what = f"{judge.name} judging {benchmark.name}"
        return tuple(tuple(map(judged, runs)) for runs in self._progress(answers, what))

    def scores(self, scores: Sequence[Score], sliders: Sliders) -> dict[str, tuple[tuple[float, ...], ...]]:
        """`[score][setting][prompt]`, setting by setting, so that the first one tells how long the others take."""
        found: dict[str, list[tuple[float, ...]]] = {score.name: [] for score in scores}
        with sliders.attach(self.lm) as dial, torch.inference_mode():

            def measured(score: Score, setting: SliderValues) -> _Values:
                dial.set(**dict.fromkeys(dial.settings, 0.0) | dict(setting))
                return _Values(values=tuple(score.measure(self.lm, score.items, dial).tolist()))

            def whole(score: Score, found: _Values) -> bool:
                return len(found.values) == len(score.items) and all(map(is_measured, found.values))

            for setting in self._progress(self.settings, f"measuring {len(scores)} scores", "setting"):
                for score in scores:
                    key = (*self.key, score.fingerprint, sorted(setting.items()))
                    cell = self.kept.get(key, _Values, partial(measured, score, setting), partial(whole, score))
                    found[score.name].append(cell.values)
        return {name: tuple(rows) for name, rows in found.items()}

    @cached_property
    def key(self) -> tuple[dict[str, Any], str]:
        """What stands for the model and the method in the keys of cells."""
        return model_key(self.lm), self.method.fingerprint

    def _progress(self, items: Sequence[Item], what: str, unit: str = "cell") -> Iterable[Item]:
        return Progress(items, desc=what, unit=unit, disable=not self.progress)
