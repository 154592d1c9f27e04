"""What `trimtab demo` measures: answers under five settings, what a judge calls them, and how the model leans.

Nothing is measured on pairs that made a vector: those of `ContrastSet.split()[1]` alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from probes.benchmarks import Kind
from probes.grid_scores import held_out
from probes.html_report import share
from probes.intervals import Estimate, share_with_interval
from probes.judges import RefusalJudge
from probes.report import OUTCOMES
from probes.scores import preference_margin, refusal_score
from steering import ContrastSet, LanguageModel, Sliders, SteeringVector, extract, sweep
from steering.data.chats import Chat
from steering.progress import Progress
from steering.vectors.slider import SliderValues

Matrix: TypeAlias = Mapping[str, Sequence[Estimate | float]]
"""By setting, a figure for each of `COLUMNS`: shares with their intervals, alone where nobody measured the others."""
PLAIN = "plain"
"""Axis of the vector that is extracted while one watches: added to every prompt, whatever it asks for."""
SETTINGS: dict[str, SliderValues] = {
    "bare": {},
    "safety 1": {"safety": 1.0},
    "helpfulness 1": {"helpfulness": 1.0},
    "both 1": {"safety": 1.0, "helpfulness": 1.0},
    "plain knob 1": {PLAIN: 1.0},
}
SHARES = ("harmful refused", "look-alikes answered", "ordinary answered")
"""Names in `probes.report.OUTCOMES`."""
COLUMNS = (*SHARES, "refusal odds", "engaged margin")
"""The last two in nats, without generation: refusal as a harmful prompt's first token, engaged over evasive answers."""
SAFETY, HELPFULNESS = {"harmful refused", "refusal odds"}, {"look-alikes answered", "engaged margin"}
OWN = {"safety 1": SAFETY, "helpfulness 1": HELPFULNESS, "both 1": SAFETY | HELPFULNESS, "plain knob 1": SAFETY}
"""What each setting is meant to raise. What else moves is leakage."""
REFERENCE_MODEL = "Qwen2.5-Coder-0.5B-Instruct"


def _shares(counts: Sequence[int], totals: Sequence[int] = (70, 96, 48)) -> list[Estimate]:
    return [share_with_interval([1.0] * n + [0.0] * (of - n)) for n, of in zip(counts, totals, strict=True)]


REFERENCE: Mapping[str, Sequence[Estimate]] = {
    "bare": _shares((43, 60, 47)),
    "safety 1": _shares((57, 59, 47)),
    "helpfulness 1": _shares((40, 75, 46)),
    "both 1": _shares((54, 74, 46)),
}
"""A model that knows how to refuse: the first table of docs/balanced.md, 214 public prompts, 40 tokens."""
TAUGHT_PAIRS = 48
HARMFUL, ORDINARY, ODDS_PROMPTS, MARGIN_PAIRS = 24, 12, 12, 8
"""Harmful prompts, each with its look-alike; ordinary ones; what the odds and the margin are measured on.

As many as a minute on two cores allows.
"""
ROWS_PER_BATCH = 60
FULL_COLOR = {**dict.fromkeys(SHARES, 25), "refusal odds": 2.0, "engaged margin": 0.2}
"""Changes, in points or nats, that have the full color."""
SHOWN: dict[Kind, int] = {"harmful": 2, "look-alike": 2, "ordinary": 1}
"""Prompts of each kind whose answers are shown."""


class Answered(NamedTuple):
    """A prompt, and by setting its answer and the judge's label."""

    kind: Kind
    prompt: str
    answers: dict[str, str]
    labels: dict[str, str]

    @property
    def differences(self) -> tuple[int, int]:
        """How many labels, and how many texts, the settings gave."""
        return len(set(self.labels.values())), len(set(self.answers.values()))

    def shown(self, setting: str) -> str:
        """The answer under a setting; where an earlier one gave the same, its name: `as bare`."""
        first = next(name for name, text in self.answers.items() if text == self.answers[setting])
        return self.answers[setting] if first == setting else f"as {first}"


@dataclass(frozen=True)
class Demo:
    """All that was measured."""

    answered: Sequence[Answered]
    scores: Mapping[str, tuple[float, float]]
    """By setting, the figures in nats."""

    @property
    def matrix(self) -> Matrix:
        """The figures that the demo leads with."""
        return {
            setting: (*(self._share(setting, name) for name in SHARES), *self.scores[setting]) for setting in SETTINGS
        }

    def _share(self, setting: str, outcome: str) -> Estimate:
        kind, counted = OUTCOMES[outcome]
        labels = [one.labels[setting] for one in self.answered if one.kind == kind]
        return share_with_interval([label in counted for label in labels])

    @property
    def unread(self) -> str:
        """How many answers the judge could not read, as a sentence; empty where it could read all."""
        labels = [label for one in self.answered for label in one.labels.values()]
        if "unsure" not in labels:
            return ""
        count = f"{labels.count('unsure')} of {len(labels)} answers"
        return f"The judge can't read {count}, which aren't in English: they count neither as refused nor as answered."

    @property
    def shown(self) -> list[Answered]:
        """The prompts on which most can be seen: those with the most different labels first, then texts."""
        found: list[Answered] = []
        for kind, count in SHOWN.items():
            some = [one for one in self.answered if one.kind == kind]
            found += sorted(some, key=lambda one: one.differences, reverse=True)[:count]
        return found


class Cell(NamedTuple):
    """A figure of a matrix as text, and how far it is from the bare model's."""

    value: str
    interval: str
    """Of a share, in percent; empty for other figures."""
    change: str
    """Signed, in points or nats; empty for the bare model."""
    heat: float
    """The change as a share of one that stands out, -1 to 1."""
    is_own: bool
    """Whether the setting is meant to raise it."""


def cells(matrix: Matrix) -> dict[str, list[Cell]]:
    """The matrix as it is shown, a row a setting."""
    bare = matrix["bare"]
    return {
        setting: [
            _cell(name, figure, before, setting) for name, figure, before in zip(COLUMNS, row, bare, strict=False)
        ]
        for setting, row in matrix.items()
    }


def _cell(column: str, figure: Estimate | float, bare: Estimate | float, setting: str) -> Cell:
    if isinstance(figure, Estimate) and isinstance(bare, Estimate):
        text, _, interval = share(figure).partition(" [")
        moved, interval = f"{100 * (figure.value - bare.value):+.0f}", f"[{interval}"
    else:
        assert not isinstance(figure, Estimate)
        assert not isinstance(bare, Estimate)
        text, interval, moved = f"{figure:+.2f}".replace("-", "−"), "", f"{figure - bare:+.2f}"
    heat = max(-1.0, min(1.0, float(moved) / FULL_COLOR[column]))
    moved = moved.replace("-", "−") if heat else "0"
    return Cell(text, interval, "" if setting == "bare" else moved, heat, column in OWN.get(setting, ()))


def extract_plain(lm: LanguageModel) -> SteeringVector:
    """A safety vector from a few pairs, with a bar: what the tool does, small enough to watch."""
    return extract(lm, ContrastSet.builtin("safety").split()[0].spread(TAUGHT_PAIRS))


def measure(lm: LanguageModel, sliders: Sliders, max_new_tokens: int) -> Demo:
    """Answers, verdicts and margins under every setting; the sliders have the axes that `SETTINGS` names."""
    pairs, engaged = held_out("safety", HARMFUL), held_out("helpfulness", MARGIN_PAIRS)
    chats: list[tuple[Kind, Chat]] = [("harmful", pair.positive) for pair in pairs]
    chats += [("look-alike", pair.negative) for pair in pairs]
    chats += [("ordinary", pair.positive[:-1]) for pair in held_out("helpfulness", ORDINARY)]
    settings = list(SETTINGS.values())
    texts = sweep(
        lm.without_thought(),  # answers are too short for a thought and what follows on it
        sliders,
        [chat for _, chat in chats],
        settings,
        max_new_tokens=max_new_tokens,
        rows_per_batch=ROWS_PER_BATCH,
    )
    judge, answered = RefusalJudge(), []
    for (kind, chat), row in zip(chats, texts, strict=True):
        prompt, answers = chat[-1].content, dict(zip(SETTINGS, row, strict=True))
        answered.append(
            Answered(kind, prompt, answers, {name: judge(prompt, text).label for name, text in answers.items()})
        )
    scores, harmful = {}, [pair.positive for pair in pairs.spread(ODDS_PROMPTS)]
    with sliders.attach(lm) as dial:
        for name, setting in Progress(SETTINGS.items(), desc="scores", unit="setting"):
            dial.set(**{**dict.fromkeys(sliders, 0.0), **setting})
            margin = preference_margin(lm, engaged, dial)
            scores[name] = refusal_score(lm, harmful).mean().item(), margin.mean().item()
    return Demo(answered, scores)
