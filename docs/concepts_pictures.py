"""Draws the pictures of `concepts.md` from the embedded model's activations: run it in this folder, some minutes."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from steering import ContrastSet, LanguageModel, extract, load, record
from steering.recipes.harm_gate import fit_harm_gate, reading_layers
from steering.recipes.taught_prompts import TaughtPrompts, read_states

HERE = Path(__file__).parent
BLUE, ORANGE, GRAY = "#0072b2", "#d55e00", "#666666"  # Okabe and Ito's, which color-blind readers can tell apart


def stream() -> None:
    """How a forward pass goes through the blocks, and where a slider adds."""
    figure, axes = plt.subplots(figsize=(9, 2.6))
    axes.set(xlim=(0, 9), ylim=(0, 2.6))
    axes.axis("off")
    axes.annotate("", (8.9, 1.0), (0.1, 1.0), arrowprops={"arrowstyle": "-|>", "lw": 3, "color": GRAY})
    names = ["embed", "block 0", "…", "block L-1", "block L", "…", "norm,\nnext token"]
    for place, name in enumerate(names):
        x = 0.75 + 1.25 * place
        face, edge = ("white", "none") if name == "…" else ("#dbe9f6", "#334455")
        box = {"boxstyle": "round,pad=0.45", "facecolor": face, "edgecolor": edge}
        axes.text(x, 1.0, name, ha="center", va="center", fontsize=11, bbox=box)
    axes.annotate("", (6.37, 1.08), (6.37, 1.95), arrowprops={"arrowstyle": "-|>", "lw": 2, "color": ORANGE})
    axes.text(6.37, 2.05, "+ strength × direction of layer L", ha="center", color=ORANGE, fontsize=11)
    axes.text(0.1, 0.25, "the residual stream: one vector a token, handed from block to block", color=GRAY, fontsize=10)
    _save(figure, "concepts_stream.svg")


def direction(lm: LanguageModel) -> None:
    """Activations of held-out prompts, along the direction that the others gave."""
    pairs = ContrastSet.builtin("safety")
    vector = extract(lm, pairs)
    layer = vector.recommended_layers[0]
    _, held_out = pairs.split()
    _, ordinary = ContrastSet.builtin("helpfulness").split()
    kinds = {
        "harmful": [pair.positive for pair in held_out],
        "its harmless partner": [pair.negative for pair in held_out],
        "ordinary": [pair.positive[:-1] for pair in ordinary],
    }
    sides = [record(lm, chats, layers=[layer])[:, 0] for chats in kinds.values()]
    along = torch.nn.functional.normalize(vector[layer], dim=0)
    activations = torch.cat(sides)
    activations = activations - activations.mean(0)
    rest = activations - (activations @ along)[:, None] * along
    across = torch.linalg.svd(rest, full_matrices=False).Vh[0]
    points = torch.stack([activations @ along, activations @ across], 1).split([len(side) for side in sides])

    figure, axes = plt.subplots(figsize=(7, 4.8))
    for some, color, marker, name in zip(points, (ORANGE, BLUE, GRAY), "o^s", kinds, strict=True):
        axes.scatter(*some.T.numpy(), c=color, marker=marker, s=18, alpha=0.75, label=f"{name} ({len(some)} prompts)")
    before, after = points[1].mean(0).numpy(), points[0].mean(0).numpy()
    axes.annotate("", after, before, arrowprops={"arrowstyle": "-|>", "lw": 2.5, "color": "black"})
    label = {"boxstyle": "round", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    axes.annotate("the direction", after, (12, 10), textcoords="offset points", fontsize=11, bbox=label)
    axes.set(
        xlabel=f"along the safety direction of layer {layer} (residual stream units)",
        ylabel="along the widest other direction",
        title="SmolLM2-135M-Instruct, prompts that made no direction\n"
        f"AUROC of harmful: {_auroc(points[0], points[1]):.2f} against partners, "
        f"{_auroc(points[0], points[2]):.2f} against ordinary",
    )
    axes.legend(loc="best", framealpha=0.9)
    _save(figure, "concepts_direction.png")


def gate(lm: LanguageModel) -> None:
    """How harmful prompts read to the balanced sliders' probe, in cross-validation, and where the sliders act."""
    prompts, layers = TaughtPrompts.of(), reading_layers(lm)
    found = fit_harm_gate(lm, prompts, read_states(lm, prompts.chats, layers, progress=True), layers)
    scores = found.probe.held_out

    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    bins = np.linspace(scores.min(), scores.max(), 45)
    for side, color, name in ((True, ORANGE, "harmful"), (False, BLUE, "harmless")):
        some = scores[prompts.harmful == side]
        axes.hist(some, bins, color=color, alpha=0.6, label=f"{name} ({len(some)})")
    axes.set_ylim(top=axes.get_ylim()[1] * 1.25)
    _threshold(axes, found.helpfulness_below, "helpfulness acts\nbelow this", "right")
    _threshold(axes, found.safety_above, "safety acts\nabove this", "left")
    axes.set(
        xlabel="log odds of harm (each prompt read by a probe that had not seen it)",
        ylabel="prompts",
        title="SmolLM2-135M-Instruct: built-in prompts, look-alikes among them",
    )
    axes.legend(loc="upper right")
    _save(figure, "concepts_gate.png")


def _threshold(axes: Axes, score: float, text: str, side: str) -> None:
    axes.axvline(score, color="black", lw=1.5, ls="--")
    shift = -0.04 if side == "right" else 0.04
    axes.text(score + shift, axes.get_ylim()[1] * 0.98, text, ha=side, va="top", fontsize=10)


def _auroc(harmful: torch.Tensor, harmless: torch.Tensor) -> float:
    return float((harmful[:, None, 0] > harmless[None, :, 0]).float().mean())


def _save(figure: plt.Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(HERE / name, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    stream()
    model = load("smollm2-135m-instruct")
    direction(model)
    gate(model)
