"""Which prompts the balanced sliders act on: a probe of the wish, its layer, and two thresholds on its log odds."""

from dataclasses import dataclass

import numpy as np
import torch

from steering.interventions.gates import Gate
from steering.models.language_model import LanguageModel
from steering.recipes.prompt_probe import PromptProbe, fit_prompt_probe, probed_tokens
from steering.recipes.taught_prompts import Flags, PromptStates, TaughtPrompts
from steering.vectors.provenance import Recognition

READ_DEPTHS = (0.47, 0.58)
"""Depths of the two blocks that the probe may read, and at which the pushes begin."""
AUROC_TOLERANCE = 0.025
"""The later one is taken only if its cross-validated AUROC is so much better: early pushes turn more answers."""
FALSE_ALARMS = 0.1
"""Share of harmless prompts on which safety may act, unless the user says."""
LEFT_ALONE = 0.3
"""Share of harmless prompts on which helpfulness doesn't act, unless the user says what may be missed."""
OWN_WEIGHTS = (1.0, 3.0, 6.0, 10.0)
"""What a prompt of the user's may count against a built-in one: that which tells their held-out ones apart best."""


@dataclass(frozen=True, eq=False)
class HarmGate:
    """The probe, where it reads, and where the sliders begin to act."""

    layer: int
    tokens: tuple[int, ...]
    probe: PromptProbe
    safety_above: float
    """Log odds."""
    helpfulness_below: float
    recognition: tuple[Recognition, ...]

    @property
    def harmful(self) -> Gate:
        """Open for prompts that safety acts on."""
        return self.probe.gate_above(self.safety_above, self.layer, self.tokens)

    @property
    def harmless(self) -> Gate:
        """Open for prompts that helpfulness acts on."""
        return self.probe.gate_below(self.helpfulness_below, self.layer, self.tokens)

    @property
    def not_harmful(self) -> Gate:
        """Open for prompts that safety doesn't act on."""
        return self.probe.gate_below(self.safety_above, self.layer, self.tokens)


def reading_layers(lm: LanguageModel) -> list[int]:
    """Layers that a gate may read."""
    return sorted({round(depth * lm.n_layers) for depth in READ_DEPTHS})


def fit_harm_gate(
    lm: LanguageModel,
    prompts: TaughtPrompts,
    states: PromptStates,
    layers: list[int],
    false_alarms: float | None = None,
    missed: float | None = None,
) -> HarmGate:
    """The gate that tells these prompts apart best in cross-validation.

    Thresholds are shares of held-out prompts, of the user's own where there are any: of harmless ones on which safety
    acts (`false_alarms`), and of harmful ones on which helpfulness does (`missed`).
    """
    rows = [layers.index(layer) for layer in reading_layers(lm)]
    builtin = ~prompts.own
    probes = [_fit(prompts, states, row, builtin) for row in rows]
    aurocs = [_auroc(probe.held_out, prompts.harmful[builtin]) for probe in probes]
    place = next(place for place, auroc in enumerate(aurocs) if auroc >= max(aurocs) - AUROC_TOLERANCE)
    before = probes[place]
    above, below = _thresholds(before.held_out, prompts.harmful[builtin], false_alarms, missed)
    probe, recognition = before, [_recognition("built-in", before.held_out, prompts.harmful[builtin], above)]
    if prompts.own.any():
        own, labels = prompts.own, prompts.harmful[prompts.own]
        everyone = np.ones(len(own), dtype=bool)
        taught = [_fit(prompts, states, rows[place], everyone, weight) for weight in OWN_WEIGHTS]
        probe = max(taught, key=lambda one: _auroc(one.held_out[own], labels))
        unseen = before.scores(states.probed[:, torch.from_numpy(own), rows[place]])
        recognition = [_recognition("own, before", unseen, labels, above)]
        above, below = _thresholds(probe.held_out[own], labels, false_alarms, missed)
        recognition.append(_recognition("own", probe.held_out[own], labels, above))
        recognition.append(_recognition("built-in", probe.held_out[~own], prompts.harmful[~own], above))
    layer = reading_layers(lm)[place]
    return HarmGate(layer, probed_tokens(lm), probe, above, below, tuple(recognition))


def _fit(prompts: TaughtPrompts, states: PromptStates, row: int, used: Flags, own_weight: float = 1.0) -> PromptProbe:
    weights = np.where(prompts.own, own_weight, prompts.weights)[used]
    pairs = np.array(prompts.pairs)[used].tolist()
    return fit_prompt_probe(states.probed[:, torch.from_numpy(used), row], prompts.harmful[used], pairs, weights)


def _auroc(scores: np.ndarray, harmful: Flags) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(harmful, scores))


def _thresholds(
    scores: np.ndarray, harmful: Flags, false_alarms: float | None, missed: float | None
) -> tuple[float, float]:
    """Log odds above which safety acts, and below which helpfulness does."""
    above = float(np.quantile(scores[~harmful], 1 - (FALSE_ALARMS if false_alarms is None else false_alarms)))
    of, share = (scores[~harmful], 1 - LEFT_ALONE) if missed is None else (scores[harmful], missed)
    return above, min(above, float(np.quantile(of, share)))


def _recognition(prompts: str, scores: np.ndarray, harmful: Flags, above: float) -> Recognition:
    acts = scores > above
    return Recognition(
        prompts=prompts,
        harmful=int(harmful.sum()),
        caught=int((acts & harmful).sum()),
        harmless=int((~harmful).sum()),
        false_alarms=int((acts & ~harmful).sum()),
    )
