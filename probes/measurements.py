"""What was measured of one way to move a model, prompt by prompt: every score, answer and verdict, and their file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from einops import reduce
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError, model_validator
from typing_extensions import Self

from probes.answers import Decoding
from probes.benchmarks import BenchmarkPrompt
from probes.judges.verdict import Verdict
from probes.report_shape import Measured, check_shape
from steering.atomic_write import atomic_write
from steering.data.chats import first_problem
from steering.errors import SteeringError, first_line, quoted
from steering.models.identity import ModelIdentity
from steering.vectors.summary import SliderSummary

Item = TypeVar("Item")


class MeasuredBenchmark(BaseModel, frozen=True, extra="forbid"):
    """The prompts that were answered, and whose they are."""

    prompts: Annotated[tuple[BenchmarkPrompt, ...], Field(min_length=1)]
    license: str
    citation: str


class Measurements(BaseModel, frozen=True, extra="forbid"):
    """Every score, answer and verdict of one method under every setting."""

    model: ModelIdentity
    axes: dict[str, str]
    """What each slider or other axis is."""
    sliders: dict[str, SliderSummary] = {}
    """What the sliders do and where they come from; empty for a method without sliders."""
    versions: dict[str, str]
    """Versions of the libraries that decide the numbers."""
    settings: tuple[dict[str, Measured], ...]
    scores: dict[str, tuple[tuple[Measured, ...], ...]]
    """Without a judge: `[score][setting][prompt]`."""
    own: dict[str, str]
    """The score that each axis is meant to raise."""
    decoding: Decoding | None = None
    benchmarks: dict[str, MeasuredBenchmark] = {}
    answers: dict[str, tuple[tuple[tuple[str, ...], ...], ...]] = {}
    """`[benchmark][setting][run][prompt]`, a run for each seed."""
    verdicts: dict[str, dict[str, tuple[tuple[tuple[Verdict, ...], ...], ...]]] = {}
    """`[judge][benchmark][setting][run][prompt]`."""
    missing: tuple[str, ...] = ()
    """Parts of a suite that were not measured, each a sentence that says why and where to get it."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_shape(self)
        return self

    @property
    def bare(self) -> int:
        """Place of the bare model among the settings."""
        return next(place for place, setting in enumerate(self.settings) if not any(setting.values()))

    def _mean(
        self,
        given: Mapping[str, tuple[tuple[tuple[Item, ...], ...], ...]],
        measure: Callable[[BenchmarkPrompt, Item], float],
        wanted: Callable[[BenchmarkPrompt], bool],
    ) -> NDArray[np.float64]:
        """(settings, prompts wanted): mean over runs of what is measured on the answers or verdicts given."""
        columns = [np.empty((len(self.settings), 0))]
        for name, rows in given.items():
            asked = [(at, prompt) for at, prompt in enumerate(self.benchmarks[name].prompts) if wanted(prompt)]
            found = [[[measure(prompt, run[at]) for at, prompt in asked] for run in runs] for runs in rows]
            columns.append(reduce(np.array(found, float), "settings runs prompts -> settings prompts", "mean"))
        return np.concatenate(columns, axis=1)

    def _verdicts(self, judge: str | None) -> Mapping[str, tuple[tuple[tuple[Verdict, ...], ...], ...]]:
        """`[benchmark][setting][run][prompt]`, of the first judge when none is named."""
        if judge is None:
            return next(iter(self.verdicts.values()), {})
        if judge not in self.verdicts:
            raise SteeringError(f"There is no judge {judge!r} in this report; it has {quoted(self.verdicts)}.")
        return self.verdicts[judge]

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all.

        Args:
            path: the file to create or to replace.

        Raises:
            SteeringError: when the file can't be written there.
        """
        with atomic_write(path) as temporary:
            temporary.write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Args:
            path: the file.

        Returns:
            The report as it was saved.

        Raises:
            SteeringError: for any other file.
        """
        try:
            return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = first_problem(error) if isinstance(error, ValidationError) else first_line(error)
            raise SteeringError(f"{str(path)!r} is no report ({reason}); run `trimtab evaluate` again.") from error
