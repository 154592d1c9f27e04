"""`trimtab inspect`: vectors and contrast sets as tables or JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import steering
from steering.errors import SteeringError, quoted
from trimtab.options import Json, ModelOptions, console


def inspect(
    target: Annotated[
        str, typer.Argument(help="A slider's or vector's file, or a contrast set (its name, or .jsonl).")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Its model, to show the tokens that each layer's direction writes."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a slider or vector was made from and its figures by layer, or check a contrast set."""
    if target.endswith(".jsonl") or (target in steering.ContrastSet.builtin_names() and not Path(target).exists()):
        contrast_set = read_contrast_set(target)
        if as_json:
            typer.echo(json.dumps(_contrast_set_summary(contrast_set), ensure_ascii=False))
        else:
            _print_contrast_set(contrast_set)
    elif Path(target).is_file():
        slider = steering.Slider.load(target)
        lens = _logit_lens(slider, model) if model else None
        if as_json:
            tokens = {} if lens is None else {"logit_lens": [asdict(layer) for layer in lens]}
            typer.echo(json.dumps(slider.summary().model_dump(mode="json") | tokens, ensure_ascii=False))
            return
        print_slider(slider)
        if lens is not None:
            table = Table("layer", "writes", "suppresses", title="tokens by the logit lens", title_justify="left")
            for layer in lens:
                table.add_row(*layer.row)
            console.print(table)
    else:
        raise SteeringError(
            f"There is no file {target!r}, nor a contrast set of that name; "
            f"the built-in sets are {quoted(steering.ContrastSet.builtin_names())}."
        )


def read_contrast_set(name: str) -> "steering.ContrastSet":
    """A contrast set from a .jsonl file, or a built-in one."""
    return steering.ContrastSet.load(name) if name.endswith(".jsonl") else steering.ContrastSet.builtin(name)


def print_slider(axis: "steering.Slider | steering.SteeringVector") -> None:
    """What a slider is, or the plain slider of a vector, and a row a layer of its first push."""
    from steering.vectors.slider import as_slider

    summary = as_slider(axis).summary()
    console.print(summary.text)
    push = summary.pushes[0]
    vector, profile = push.vector, push.vector.profile
    table = Table("layer", "norm", title="by layer; the slider moves the marked ones", title_justify="left")
    for heading in ("residual norm", "AUROC", "pair cosine") if profile else ():
        table.add_column(heading, justify="right")
    for row, (layer, norm) in enumerate(zip(vector.layers, vector.norms, strict=True)):
        cells = [f"{layer}{'*' if layer in push.layers else ''}", f"{norm:.2f}"]
        if profile:
            figures = profile.residual_norm[row], profile.auroc[row], profile.pair_cosine[row]
            cells += [f"{figure:.{digits}f}" for figure, digits in zip(figures, (1, 3, 3), strict=True)]
        table.add_row(*cells)
    console.print(table)


def _logit_lens(slider: "steering.Slider", model: str) -> "steering.LogitLens":
    """The tokens that its first vector writes and suppresses, in the model that it was made on."""
    lm = ModelOptions(model).load()
    slider.check(lm.identity)
    return steering.logit_lens(lm, slider.pushes[0].vector)


def _contrast_set_summary(contrast_set: "steering.ContrastSet") -> dict[str, Any]:
    return {
        "header": contrast_set.header.model_dump(),
        "pairs": len(contrast_set),
        "groups": contrast_set.groups,
        "fingerprint": contrast_set.fingerprint,
        "findings": [
            {"check": finding.check, "lines": finding.lines, "message": finding.message}
            for finding in steering.lint(contrast_set)
        ],
    }


def _print_contrast_set(contrast_set: "steering.ContrastSet") -> None:
    """What a contrast set says of itself, an example a group, and what the checks found."""
    header = contrast_set.header
    console.print(f"{header.name}: {len(contrast_set)} pairs, {contrast_set.fingerprint}")
    for label, text in (("+", header.positive), ("-", header.negative), ("why", header.why)):
        console.print(f"{label}: {text}")
    table = Table("group", "pairs", "a positive side", "its negative side", show_lines=True)
    for group, count in contrast_set.groups.items():
        pair = next(pair for pair in contrast_set if pair.group == group)
        table.add_row(group, str(count), pair.positive[-1].content, pair.negative[-1].content)
    console.print(table)
    findings = steering.lint(contrast_set)
    for finding in findings:
        console.print(f"{finding.check}: {finding}")
    console.print(f"{len(findings)} findings" if findings else "no findings")
