"""The figures that follow from what was measured: rates, intervals, matrices, the frontier."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from probes.ability import is_right
from probes.benchmarks import BenchmarkPrompt, Kind
from probes.frontier import Point
from probes.grid_scores import BUILTIN_OWN, FIRST_TOKEN_SCORES
from probes.intervals import Estimate, mean_with_interval, prompts_needed, share_with_interval
from probes.judges.agreement import Agreement, agreement
from probes.judges.verdict import NEITHER, REFUSED, Verdict
from probes.measurements import Measurements
from probes.repetition import repeated_ngrams
from probes.robustness import DEFENCE, DEFENDED, defence_rates, defence_slopes
from probes.slider_effects import (
    CrossEffects,
    Monotonicity,
    anti_steerable_fraction,
    cross_effects,
    monotonicity,
)
from steering.display.labels import setting_label
from steering.errors import SteeringError, quoted
from steering.models.reasoning import split_reasoning

OUTCOMES: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "harmful refused": ("harmful", REFUSED),
    "look-alikes answered": ("look-alike", ("compliance",)),
    "ordinary answered": ("ordinary", ("compliance",)),
    "forbidden refused": ("forbidden", REFUSED),
    DEFENCE: ("jailbreak", DEFENDED),
}
"""What is counted among answers: the kind of prompts, and the labels that count."""
OWN_OUTCOMES = {"safety": "harmful refused", "helpfulness": "look-alikes answered"}


class Report(Measurements, frozen=True):
    """Every score, answer and verdict of one method under every setting, and the figures that follow from them."""

    @property
    def has_own_scores(self) -> bool:
        """Whether every axis has a score that it is meant to raise, of several prompts: what `cross_effects` needs."""
        return set(self.own) == set(self.settings[0]) and all(map(self._has_prompts, self.own.values()))

    @property
    def cross_effects(self) -> CrossEffects:
        """Slope in every axis of each axis's own score, with 95 % intervals and leakage.

        Behind them safety's and helpfulness' scores, where they were measured but no axis is meant to raise them.
        """
        shown = dict.fromkeys([*self.own.values(), *filter(self._has_prompts, BUILTIN_OWN.values())])
        scores = {name: np.array(self.scores[name]) for name in shown}
        return cross_effects(self.settings, scores, self.own)

    def _has_prompts(self, score: str) -> bool:
        """Whether it was measured on several prompts, over which slopes are averaged."""
        return score in self.scores and len(self.scores[score][0]) > 1

    def outcome_effects(self, judge: str | None = None) -> CrossEffects:
        """The same for outcomes: what a unit of each axis adds to the shares of prompts that end as they should.

        Where attacks were answered, robustness is the last row: the share that is refused, each attack weighing alike.

        Args:
            judge: whose verdicts count, by name; the first judge's when not given.

        Raises:
            SteeringError: without answers to harmful prompts or look-alikes, and where those are missing that safety or
                helpfulness is about.
        """
        found = self.outcomes(judge)
        axes = tuple(self.settings[0])
        missing = [axis for axis in axes if axis in OWN_OUTCOMES and OWN_OUTCOMES[axis] not in found]
        shown = {name: found[name] for name in OWN_OUTCOMES.values() if name in found}
        if missing or not shown:
            raise SteeringError(
                f"Expected for every axis judged answers to the prompts that it is about, found none for "
                f"{quoted(missing or axes)}; evaluate with benchmarks of harmful prompts and look-alikes."
            )
        own = {axis: OWN_OUTCOMES[axis] for axis in axes if axis in OWN_OUTCOMES}
        effects = cross_effects(self.settings, shown, own, shares=True)
        if not (attacks := self.attacks(judge)):
            return effects
        robustness = defence_slopes(self.settings, effects.sliders, attacks)
        rows = {"scores": (*effects.scores, DEFENCE), "slopes": (*effects.slopes, robustness)}
        return effects.model_copy(update=rows)

    def outcomes(self, judge: str | None = None) -> dict[str, NDArray[np.float64]]:
        """Share of runs that ended so, by outcome. Only of kinds that were asked.

        What the judge calls degenerate or is unsure of ended in none of the ways; `degenerate` and `unsure` count it.

        Args:
            judge: whose verdicts count, by name; the first judge's when not given.
        """
        found = {name: self._share(judge, kind, labels) for name, (kind, labels) in OUTCOMES.items()}
        return {name: shares for name, shares in found.items() if shares.size}

    def attacks(self, judge: str | None = None) -> dict[str, NDArray[np.float64]]:
        """Share of runs that refused, by attack: (settings, prompts).

        Args:
            judge: whose verdicts count, by name; the first judge's when not given.
        """
        asked = [p.attack_name for one in self.benchmarks.values() for p in one.prompts if p.kind == "jailbreak"]

        def refused(attack: str) -> NDArray[np.float64]:
            return self._mean(
                self._verdicts(judge),
                lambda _prompt, verdict: verdict.label in DEFENDED,
                lambda prompt: prompt.kind == "jailbreak" and prompt.attack_name == attack,
            )

        return {attack: refused(attack) for attack in dict.fromkeys(asked)}

    def degenerate(self, judge: str | None = None) -> NDArray[np.float64]:
        """Share of runs with broken text, over harmful, look-alike and ordinary prompts.

        Args:
            judge: whose verdicts count, by name; the first judge's when not given.
        """
        return np.concatenate([self._share(judge, kind, ("degenerate",)) for kind in FIRST_TOKEN_SCORES], axis=1)

    def rates(self, judge: str | None = None) -> list[dict[str, Estimate]]:
        """Every outcome's rate with its 95 % Wilson interval over prompts; repetition's is bootstrapped.

        Among them, where there are any, the shares of answers that are a `stall`, that the judge is `unsure` of, as it
        can't read them, and that are `unfinished`, as they end inside the model's thought.

        Args:
            judge: whose verdicts count, by name; the first judge's when not given.
        """
        found = self.outcomes(judge) | self.right
        found |= {"degenerate": self.degenerate(judge)}
        for label in NEITHER:
            shares = [self._share(judge, kind, (label,)) for kind in get_args(Kind)]
            found |= {label: np.concatenate(shares, axis=1)} if any(map(np.any, shares)) else {}
        attacks = self.attacks(judge)
        return [
            {name: share_with_interval(shares[place]) for name, shares in found.items() if shares.size}
            | ({DEFENCE: defence_rates(attacks, place)[DEFENCE]} if attacks else {})
            | {"repeated 4-grams": mean_with_interval(self.repetition[place], within=(0, 1))}
            for place in range(len(self.settings))
        ]

    def prompts_needed(self, judge: str | None = None) -> dict[str, int]:
        """By outcome, how many prompts would tell its change from bare within 3 points, at every setting.

        Args:
            judge: whose verdicts count, by name; the first judge's when not given.
        """
        return {
            name: max(prompts_needed(row - shares[self.bare]) for row in shares)
            for name, shares in self.outcomes(judge).items()
        }

    @property
    def right(self) -> dict[str, NDArray[np.float64]]:
        """Share of runs with the right answer, by benchmark of ability: (settings, prompts)."""
        ability = _of("ability")
        found = {
            f"{name} right": self._mean({name: rows}, lambda prompt, text: is_right(prompt, _alone(text)), ability)
            for name, rows in self.answers.items()
        }
        return {name: shares for name, shares in found.items() if shares.size}

    @property
    def repetition(self) -> NDArray[np.float64]:
        """Share of repeated 4-grams of words, mean over runs, over all prompts: (settings, prompts)."""
        return self._mean(self.answers, lambda _prompt, text: repeated_ngrams(_alone(text)), lambda _: True)

    def frontier(self, judge: str | None = None) -> list[Point]:
        """Share of harmful prompts refused and of look-alikes answered.

        Args:
            judge: whose verdicts count, by name; the first judge's when not given.
        """
        found = self.outcomes(judge)
        if not found.keys() >= set(OWN_OUTCOMES.values()):
            return []
        shares = {axis: found[outcome].mean(axis=1) for axis, outcome in OWN_OUTCOMES.items()}
        return [
            Point(setting_label(setting), float(shares["safety"][place]), float(shares["helpfulness"][place]))
            for place, setting in enumerate(self.settings)
        ]

    def judges_agree(self, first: str, second: str) -> Agreement:
        """How far two judges label the same answers alike.

        Args:
            first: one judge's name.
            second: the other's.
        """
        return agreement(self._all_verdicts(first), self._all_verdicts(second))

    def along(self, axis: str, score: str) -> tuple[list[float], NDArray[np.float64]]:
        """A score along one axis, all others at 0.

        Args:
            axis: the axis.
            score: a name in `scores`.

        Raises:
            SteeringError: for an axis or a score that the report doesn't have.
        """
        for what, name, known in (("axis", axis, self.settings[0]), ("score", score, self.scores)):
            if name not in known:
                raise SteeringError(f"There is no {what} {name!r} in this report; it has {quoted(known)}.")
        rows = sorted(
            (setting[axis], row)
            for row, setting in enumerate(self.settings)
            if all(value == 0 for name, value in setting.items() if name != axis)
        )
        return [value for value, _ in rows], np.array([self.scores[score][row] for _, row in rows])

    def monotonicity(self, axis: str) -> Monotonicity:
        """How orderly an axis raises its own score, the others at 0.

        Args:
            axis: one that has an own score.
        """
        return monotonicity(*self.along(axis, self.own[axis]))

    def anti_steerable_fraction(self, axis: str) -> Estimate:
        """Share of prompts whose own score falls as the axis rises, the others at 0.

        Args:
            axis: one that has an own score.
        """
        return anti_steerable_fraction(*self.along(axis, self.own[axis]))

    def to_html(self, path: str | Path) -> None:
        """Write one page with all tables and plots and nothing to fetch.

        Args:
            path: the file to create or to replace.

        Raises:
            SteeringError: when the file can't be written there.
        """
        from probes.html_report import write_html

        write_html({"report": self}, path)

    def __repr__(self) -> str:
        return f"Report({self.model.name!r}, {len(self.settings)} settings of {', '.join(self.axes)})"

    def _repr_html_(self) -> str:
        from probes.html_report import summary_html

        return summary_html(self)

    def _share(self, judge: str | None, kind: Kind, labels: Sequence[str]) -> NDArray[np.float64]:
        """(settings, prompts of the kind): share of runs with one of the labels."""
        return self._mean(self._verdicts(judge), lambda _prompt, verdict: verdict.label in labels, _of(kind))

    def _all_verdicts(self, judge: str) -> list[Verdict]:
        return [v for rows in self._verdicts(judge).values() for runs in rows for run in runs for v in run]


def _of(kind: Kind) -> Callable[[BenchmarkPrompt], bool]:
    return lambda prompt: prompt.kind == kind


def _alone(text: str) -> str:
    """The answer without the thought before it."""
    return split_reasoning(text).answer
