"""`trimtab inspect`: vectors and contrast sets as tables or JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import steering
from steering.errors import SteeringError, quoted
from trimtab.options import Json, ModelOptions, console
from trimtab.tables import print_table
from trimtab.terminal import echo


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
    builtin = steering.ContrastSet.builtin_names()
    if target.endswith(".jsonl") or (target in builtin and not Path(target).exists()):
        _inspect_contrast_set(read_contrast_set(target), as_json)
        return
    if not Path(target).is_file():
        raise SteeringError(
            f"There is no file {target!r}, nor a contrast set of that name; the built-in sets are {quoted(builtin)}."
        )
    slider = steering.Slider.load(target)
    lens = None
    if model:
        lm = ModelOptions(model).load()
        slider.check(lm.identity)
        lens = steering.logit_lens(lm, slider.pushes[0].vector)
    if as_json:
        tokens = {} if lens is None else {"logit_lens": [asdict(layer) for layer in lens]}
        echo(json.dumps(slider.summary().model_dump(mode="json") | tokens, ensure_ascii=False))
        return
    print_slider(slider)
    if lens is not None:
        columns = ("layer", "writes", "suppresses")
        print_table("tokens by the logit lens", columns, [layer.row for layer in lens], is_text=True)


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
    columns = {
        "layer": [f"{layer}{'*' if layer in push.layers else ''}" for layer in vector.layers],
        "norm": [f"{norm:.2f}" for norm in vector.norms],
    }
    if profile:
        columns["residual norm"] = [f"{norm:.1f}" for norm in profile.residual_norm]
        columns["AUROC"] = [f"{auroc:.3f}" for auroc in profile.auroc]
        columns["pair cosine"] = [f"{cosine:.3f}" for cosine in profile.pair_cosine]
    print_table("by layer; the slider moves the marked ones", list(columns), zip(*columns.values(), strict=True))


def _inspect_contrast_set(contrast_set: "steering.ContrastSet", as_json: bool) -> None:
    """What a contrast set says of itself, an example a group, and what the checks found."""
    header, groups, findings = contrast_set.header, contrast_set.groups, steering.lint(contrast_set)
    if as_json:
        summary = {"header": header.model_dump(), "pairs": len(contrast_set), "groups": groups}
        found = {"fingerprint": contrast_set.fingerprint, "findings": [asdict(finding) for finding in findings]}
        echo(json.dumps(summary | found, ensure_ascii=False))
        return
    console.print(f"{header.name}: {len(contrast_set)} pairs, {contrast_set.fingerprint}")
    for label, text in (("+", header.positive), ("-", header.negative), ("why", header.why)):
        console.print(f"{label}: {text}")
    rows = []
    for group, count in groups.items():
        pair = next(pair for pair in contrast_set if pair.group == group)
        rows.append((group, str(count), pair.positive[-1].content, pair.negative[-1].content))
    print_table(None, ("group", "pairs", "a positive side", "its negative side"), rows, is_text=True)
    for finding in findings:
        console.print(f"{finding.check}: {finding}")
    console.print(f"{len(findings)} findings" if findings else "no findings")
