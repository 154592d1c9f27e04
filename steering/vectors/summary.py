"""Vectors and sliders in words and numbers: what every place that describes one is made from."""

import math
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field, model_validator

from steering.display.dose_curve import dose_curve_svg, effect_at
from steering.display.html import paragraph, table
from steering.display.labels import layer_spans
from steering.display.plots import LayerFigures, as_image, layer_profile
from steering.display.visible import one_line
from steering.vectors.provenance import Calibration, Dose, Origin, Profile, Recognition, Trial

HarmEdge: TypeAlias = tuple[Literal[">", "<"], float]
"""Acts above or below a probability of harm."""


Layers: TypeAlias = Annotated[tuple[Annotated[int, Field(ge=0, lt=10_000)], ...], Field(min_length=1)]


class VectorSummary(BaseModel, frozen=True, extra="forbid"):
    """A vector without its directions, whose norms stand for them."""

    title: str
    d_model: int
    layers: Layers
    recommended_layers: Layers
    norms: tuple[float, ...]
    """Norm of the direction at each layer."""
    origin: Origin | None
    profile: Profile | None

    @model_validator(mode="after")
    def _check(self) -> "VectorSummary":
        rows = {"norms": self.norms, **(dict(self.profile) if self.profile else {})}
        if wrong := [name for name, row in rows.items() if len(row) != len(self.layers)]:
            raise ValueError(f"expected a figure for each of {len(self.layers)} layers, found others as {wrong[0]!r}")
        if not set(self.recommended_layers) <= set(self.layers):
            raise ValueError(f"expected recommended layers among {self.layers}, found {self.recommended_layers}")
        return self

    @property
    def best_layer(self) -> int:
        """The recommended layer that tells held-out pairs apart best; the first where nothing is known."""
        if self.profile is None:
            return self.recommended_layers[0]
        return max(self.recommended_layers, key=dict(zip(self.layers, self.profile.auroc, strict=True)).__getitem__)

    @property
    def text(self) -> str:
        """What it is and where it comes from, a line each."""
        lines = [
            f"{self.title}: layers {layer_spans(self.layers)} of width {self.d_model}, "
            f"recommended {layer_spans(self.recommended_layers)}"
        ]
        if self.origin:
            model = self.origin.model
            lines += [f"recipe: {self.origin.recipe}"] if self.origin.recipe else []
            lines.append(f"model: {model.name}, {model.model_type}, weights {model.weights or model.former_weights}")
            arguments = f" with {model.template}" if model.template not in (None, "{}") else ""
            lines.append(f"system prompt: {model.system_prompt!r}, chat template {model.chat_template}{arguments}")
            lines += [
                f"source: {source.contrast_set} ({source.pairs} pairs, {source.held_out_pairs} held out, "
                f"{source.fingerprint}), {source.method} at {source.position}"
                for source in self.origin.sources
            ]
        if self.profile:
            row = self.layers.index(self.best_layer)
            lines.append(
                f"held out, layer {self.best_layer}: AUROC {self.profile.auroc[row]:.3f}, "
                f"pair cosine {self.profile.pair_cosine[row]:.3f}, "
                f"norm {self.norms[row]:.2f} of a residual norm of {self.profile.residual_norm[row]:.1f}"
            )
        return "\n".join(map(one_line, lines))

    def figures(self, moved: tuple[int, ...] | None = None) -> LayerFigures | None:
        """The curves by layer, with the layers that are moved; None for a vector without a profile."""
        if self.profile is None:
            return None
        moved = self.recommended_layers if moved is None else moved
        pairs = zip(self.norms, self.profile.residual_norm, strict=True)
        relative = tuple(norm / residual if residual else math.nan for norm, residual in pairs)
        return LayerFigures(self.layers, moved, self.profile.auroc, self.profile.pair_cosine, relative)

    def html(self) -> str:
        """The same for a notebook, with the curves as a picture."""
        return _described("SteeringVector", self.text) + profile_image({self.title: self.figures()})


class GateSummary(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What opens a push."""

    curve: str
    layer: Annotated[int, Field(ge=0)]
    tokens: tuple[int, ...]
    reads: str = "score"
    threshold: float = 0.0

    @property
    def harm_edge(self) -> HarmEdge | None:
        """The probability of harm from which on a push acts, and on which side of it; None for other gates."""
        if self.reads == "score" or self.curve != "step":
            return None
        sign = 1 if self.reads == "harm" else -1
        edge = (1 + math.tanh(sign * self.threshold / 2)) / 2  # the logistic function, without its overflow
        return (">" if sign > 0 else "<", edge)

    @property
    def text(self) -> str:
        """Where it is read, and at which probability of harm a push begins to act, if that is known."""
        text = f"gate {self.curve!r} read at layer {self.layer}"
        if self.harm_edge is None:
            return text
        side, edge = self.harm_edge
        return f"{text}, acts where harm {side} {edge:.2f}"


class PushSummary(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What one push does, and with which vector."""

    vector: VectorSummary
    intervention: str
    hook_point: str
    layers: Layers
    strength: float
    tokens: str
    gate: GateSummary | None

    @property
    def text(self) -> str:
        """One line."""
        gate = f", {self.gate.text}" if self.gate else ""
        return (
            f"{self.intervention} at {self.hook_point} of layers {layer_spans(self.layers)}, "
            f"strength {self.strength:g}, tokens {self.tokens}{gate}"
        )


class SliderSummary(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """A slider without its tensors."""

    title: str
    range: tuple[float, float]
    calibration: Calibration | None
    pushes: Annotated[tuple[PushSummary, ...], Field(min_length=1)]
    dose: Dose | None = None
    trials: tuple[Trial, ...] = ()
    recognition: tuple[Recognition, ...] = ()

    @property
    def is_gated(self) -> bool:
        """Whether prompts decide how far it acts."""
        return any(push.gate for push in self.pushes)

    @property
    def harm_edge(self) -> HarmEdge | None:
        """Where the first of its pushes begins to act; None where that isn't one probability of harm."""
        edges = [push.gate and push.gate.harm_edge for push in self.pushes]
        known = [edge for edge in edges if edge]
        if len(known) < len(edges) or len({side for side, _ in known}) > 1:
            return None
        return min(known) if known[0][0] == ">" else max(known)

    @property
    def interventions(self) -> str:
        """What its pushes do, each kind once."""
        kinds = (f"{push.intervention} (gated)" if push.gate else push.intervention for push in self.pushes)
        return " and ".join(dict.fromkeys(kinds))

    @property
    def layers(self) -> tuple[int, ...]:
        """All that are moved."""
        return tuple(sorted({layer for push in self.pushes for layer in push.layers}))

    @property
    def range_text(self) -> str:
        """`-1 to 1, plain default`, or what found it."""
        origin = self.pushes[0].vector.origin
        found_by = f"from the recipe {origin.recipe}" if origin and origin.recipe else "plain default"
        found_by = "calibrated" if self.calibration else found_by
        return f"{self.range[0]:g} to {self.range[1]:g}, {found_by}"

    @property
    def text(self) -> str:
        """What it does and where it comes from, a line each."""
        title, *vector = self.pushes[0].vector.text.splitlines()
        lines = [title, f"range: {self.range_text}", *(f"push: {push.text}" for push in self.pushes), *vector]
        if found := self.calibration:
            lines.append(
                f"calibrated: {found.score!r} on {found.prompts} prompts, KL at most {found.kl_budget:g} nats on "
                f"{found.ordinary_prompts} ordinary ones, spans of layers tried: {len(found.spans)}"
            )
        if dose := self.dose:
            points = zip(dose.values, dose.effects, strict=True)
            measured = ", ".join(f"{value:g} -> {effect:.2f}" for value, effect in points if value)
            lines.append(f"dose: {measured} ({dose.outcome}, {dose.prompts} prompts)")
        if self.trials:
            taken = ", ".join(f"{trial.push} x {trial.strength:g}" for trial in self.trials if trial.chosen) or "none"
            lines.append(f"tried: {len(self.trials)} push{'es' * (len(self.trials) > 1)}, taken: {taken}")
        lines += [
            f"gate on {found.prompts} prompts: {found.caught} of {found.harmful} harmful seen, "
            f"{found.false_alarms} of {found.harmless} harmless taken for harmful"
            for found in self.recognition
        ]
        return "\n".join(map(one_line, lines))

    def figures(self) -> LayerFigures | None:
        """The curves of its first push."""
        return self.pushes[0].vector.figures(self.pushes[0].layers)

    def html(self) -> str:
        """The same for a notebook, with the curves as pictures."""
        dose = dose_image(self.dose) if self.dose else ""
        return _described("Slider", self.text) + dose + profile_image({self.title: self.figures()})


def sliders_html(sliders: dict[str, SliderSummary]) -> str:
    """One line a slider, and the curves of all by layer."""
    rows = [
        [name, slider.title, slider.interventions, layer_spans(slider.layers), slider.range_text]
        for name, slider in sliders.items()
    ]
    shown = table(["axis", "made from", "does", "layers", "range"], rows)
    return paragraph("Sliders", "") + shown + profile_image({name: one.figures() for name, one in sliders.items()})


def profile_image(figures: dict[str, LayerFigures | None]) -> str:
    """The curves as an HTML image; "" where nothing is known."""
    known = {name: found for name, found in figures.items() if found}
    best = "; ".join(f"{name}: held-out AUROC up to {max(found.auroc):.3f}" for name, found in known.items())
    return as_image(layer_profile(known), f"Figures by layer. {best}") if known else ""


def dose_svg(dose: Dose, value: float = 0.0) -> str:
    """The effects by value, the present one marked."""
    return dose_curve_svg(dose.values, dose.effects, f"change in {dose.outcome} ({dose.prompts} prompts)", value)


def dose_image(dose: Dose, value: float = 0.0) -> str:
    """The same as an HTML image, with words."""
    return as_image(dose_svg(dose, value), dose_text(dose, value))


def dose_text(dose: Dose, value: float) -> str:
    """What was measured at a value, in words."""
    return f"{effect_at(dose.values, dose.effects, value)}, change in {dose.outcome} ({dose.prompts} prompts)"


def _described(kind: str, text: str) -> str:
    title, *lines = text.splitlines()
    parted = (line.partition(": ") for line in lines)
    return paragraph(kind, title) + table([], [[name, rest] for name, _, rest in parted])
