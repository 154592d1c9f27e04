"""evaluate(): scores of prompts under a grid of slider settings, cell by cell, and what the sliders did to them.

A cell is one score under one setting. With a folder every finished cell is kept there, so that a run that was killed
goes on from the last one and gives the same report.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from tqdm.auto import tqdm

from probes.effects import CrossEffects, Monotonicity, cross_effects, monotonicity, wrong_way_fraction
from probes.scores import answer_divergence, preference_margin, refusal_score
from steering import ContrastPair, ContrastSet, Dial, LanguageModel, Sliders, SteeringVector
from steering.chats import Message
from steering.errors import SteeringError, quoted
from steering.files import replacing
from steering.identity import ModelIdentity

Setting = Mapping[str, float]


@dataclass(frozen=True)
class Score:
    """One number a prompt (or pair), measured under whatever the dial is set to."""

    name: str
    items: Sequence[Any]
    """Prompts, chats or contrast pairs: what `measure` takes."""
    measure: Callable[[LanguageModel, Sequence[Any], Dial], Tensor]
    own_slider: str | None = None
    """The slider that is meant to raise it, if any."""

    @property
    def fingerprint(self) -> str:
        """Of what is measured on what."""
        content = [_plain(item) for item in self.items]
        text = json.dumps([self.name, self.measure.__module__, self.measure.__qualname__, content], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Report(BaseModel):
    """Every score of every prompt under every setting, and whose they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelIdentity
    sliders: dict[str, str]
    """Title of each slider's vector."""
    settings: tuple[dict[str, float], ...]
    scores: dict[str, tuple[tuple[float, ...], ...]]
    """`[score][setting][prompt]`."""
    own: dict[str, str]
    """The score that each slider is meant to raise."""

    @property
    def cross_effects(self) -> CrossEffects:
        """Slope of each slider's own score in every slider, with 95 % intervals and leakage."""
        scores = {name: np.array(self.scores[name]) for name in self.own.values()}
        return cross_effects(self.settings, scores, self.own)

    def along(self, slider: str, score: str) -> tuple[list[float], np.ndarray]:
        """Ascending values of a slider, all others at 0, and the score there: (values, prompts)."""
        rows = [
            (setting[slider], row)
            for row, setting in enumerate(self.settings)
            if all(value == 0 for name, value in setting.items() if name != slider)
        ]
        rows.sort()
        return [value for value, _ in rows], np.array([self.scores[score][row] for _, row in rows])

    def monotonicity(self, slider: str) -> Monotonicity:
        """How orderly a slider raises its own score, the others at 0."""
        return monotonicity(*self.along(slider, self.own[slider]))

    def wrong_way_fraction(self, slider: str) -> float:
        """Share of prompts whose own score falls as the slider rises, the others at 0."""
        return wrong_way_fraction(*self.along(slider, self.own[slider]))

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(), encoding="utf-8")


def builtin_scores(count: int = 48) -> list[Score]:
    """Scores on pairs of the built-in sets that `extract` held out, and what each slider is to raise.

    Likelihood scores only: no text is generated and no judge asked.
    """

    def spread(name: str) -> Sequence[ContrastPair]:
        pairs = ContrastSet.builtin(name).split()[1].pairs
        return pairs[:: max(1, len(pairs) // count)][:count]

    safety, helpfulness, look_alikes = spread("safety"), spread("helpfulness"), spread("over-refusal")
    ordinary = [pair.positive[:-1] for pair in helpfulness]
    return [
        Score("refusal of harmful", [pair.positive for pair in safety], _refusal, "safety"),
        Score("engaged over evasive", helpfulness, preference_margin, "helpfulness"),
        Score("refusal of look-alikes", [pair.positive[:-1] for pair in look_alikes], _refusal),
        Score("refusal of ordinary", ordinary, _refusal),
        Score("KL on ordinary", ordinary, answer_divergence),
    ]


def _refusal(lm: LanguageModel, prompts: Sequence[Any], _dial: Dial) -> Tensor:
    return refusal_score(lm, prompts)


def evaluate(
    lm: LanguageModel,
    sliders: Sliders,
    grid: Mapping[str, Sequence[float]],
    scores: Sequence[Score] | None = None,
    *,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Report:
    """Measure every score under every combination of slider values.

    Args:
        grid: values of each slider; sliders that it leaves out stay at 0. 0 must be among the values of each.
        scores: `builtin_scores()` unless given; every slider of the grid needs one that it is meant to raise.
        folder: where finished cells are kept. Nothing is written without it.

    Raises SteeringError for a grid or scores that don't fit the sliders.
    """
    scores = builtin_scores() if scores is None else scores
    sliders.check_axes(grid)
    own = {score.own_slider: score.name for score in scores if score.own_slider in grid}
    if missing := [slider for slider in grid if slider not in own]:
        raise SteeringError(
            f"Expected for every slider a score that it is meant to raise, found none for {quoted(missing)}."
        )
    if without := [slider for slider, values in grid.items() if 0.0 not in values]:
        raise SteeringError(f"Expected 0 among the values of every slider, found none for {quoted(without)}; add it.")
    settings = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    cells = [(score, setting) for score in scores for setting in settings]
    found: dict[str, list[tuple[float, ...]]] = {score.name: [] for score in scores}
    key = _fingerprint(lm, sliders)
    with sliders.attach(lm) as dial, torch.inference_mode():
        for score, setting in tqdm(cells, desc="evaluating", unit="cell", disable=not progress):
            found[score.name].append(_cell(lm, dial, score, setting, key, folder))
    return Report(
        model=lm.identity,
        sliders={name: vector.title for name, vector in sliders.axes.items()},
        settings=tuple(settings),
        scores={name: tuple(rows) for name, rows in found.items()},
        own={slider: own[slider] for slider in grid},
    )


def _cell(
    lm: LanguageModel, dial: Dial, score: Score, setting: Setting, key: str, folder: str | Path | None
) -> tuple[float, ...]:
    file = None
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        text = json.dumps([key, score.fingerprint, sorted(setting.items())])
        file = Path(folder) / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"
        if file.is_file():
            return tuple(json.loads(file.read_text(encoding="utf-8"))["values"])
    dial.set(**dict.fromkeys(dial.settings, 0.0) | dict(setting))
    values = tuple(score.measure(lm, score.items, dial).tolist())
    if file is not None:
        with replacing(file) as temporary:
            content = {"score": score.name, "setting": dict(setting), "values": values}
            temporary.write_text(json.dumps(content), encoding="utf-8")
    return values


def _fingerprint(lm: LanguageModel, sliders: Sliders) -> str:
    """Of the model and of all that the sliders do to it."""
    digest = hashlib.sha256(lm.identity.model_dump_json().encode())
    for name, vector in sliders.axes.items():
        digest.update(name.encode())
        for part in vector.parts:
            digest.update(_action(part).encode())
            for tensor in (part.directions, part.reference, part.gate.direction if part.gate else None):
                digest.update(b"" if tensor is None else tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _action(part: SteeringVector) -> str:
    gate = part.gate and [getattr(part.gate, name) for name in ("layer", "bias", "curve", "cosine", "low", "high")]
    return json.dumps([part.layers, part.recommended_layers, part.unit, part.scope, part.intervention, part.site, gate])


def _plain(item: Any) -> Any:
    """What a prompt, chat or pair is, for its fingerprint."""
    if isinstance(item, BaseModel):
        return item.model_dump()
    if isinstance(item, Sequence) and not isinstance(item, str):
        return [message.model_dump() if isinstance(message, Message) else message for message in item]
    return item
