"""`trimtab inspect`: vectors and contrast sets as tables or JSON."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import steering
from steering.errors import SteeringError, quoted
from trimtab.options import Json, console


def inspect(
    target: Annotated[str, typer.Argument(help="A vector file, or a contrast set (built-in name or .jsonl file).")],
    as_json: Json = False,
) -> None:
    """Show what a vector was made from and its figures by layer, or check a contrast set."""
    if target.endswith(".jsonl") or (target in steering.ContrastSet.builtin_names() and not Path(target).exists()):
        contrast_set = read_contrast_set(target)
        if as_json:
            typer.echo(json.dumps(_contrast_set_summary(contrast_set), ensure_ascii=False))
        else:
            _print_contrast_set(contrast_set)
    elif Path(target).is_file():
        vector = steering.SteeringVector.load(target)
        if as_json:
            typer.echo(json.dumps(vector_summary(vector), ensure_ascii=False))
        else:
            print_vector(vector)
    else:
        raise SteeringError(
            f"There is no file {target!r}, nor a contrast set of that name; "
            f"the built-in sets are {quoted(steering.ContrastSet.builtin_names())}."
        )


def read_contrast_set(name: str) -> "steering.ContrastSet":
    """A contrast set from a .jsonl file, or a built-in one."""
    return steering.ContrastSet.read(name) if name.endswith(".jsonl") else steering.ContrastSet.builtin(name)


def vector_summary(vector: "steering.SteeringVector") -> dict[str, Any]:
    """All of a vector but its directions, whose norms stand for them."""
    return {
        "title": vector.title,
        "layers": vector.layers,
        "recommended_layers": vector.recommended_layers,
        "unit": vector.unit,
        "range": vector.range,
        "parts": [
            {
                "intervention": part.intervention,
                "site": part.site,
                "scope": part.scope,
                "unit": part.unit,
                "layers": part.recommended_layers,
                "gate": part.gate and {"curve": part.gate.curve, "layer": part.gate.layer},
            }
            for part in vector.parts
        ],
        "norm": vector.directions.norm(dim=1).tolist(),
        "origin": vector.origin and vector.origin.model_dump(),
        "profile": vector.profile and vector.profile.model_dump(),
    }


def print_vector(vector: "steering.SteeringVector") -> None:
    """What a vector is, and a row a layer."""
    console.print(vector.describe())
    table = Table("layer", "norm", title="by layer; a slider moves the marked ones", title_justify="left")
    for heading in ("residual norm", "AUROC", "pair cosine") if vector.profile else ():
        table.add_column(heading, justify="right")
    for row, layer in enumerate(vector.layers):
        mark = "*" if layer in vector.recommended_layers else ""
        cells = [f"{layer}{mark}", f"{vector[layer].norm():.2f}"]
        if profile := vector.profile:
            cells += [
                f"{profile.residual_norm[row]:.1f}",
                f"{profile.auroc[row]:.3f}",
                f"{profile.pair_cosine[row]:.3f}",
            ]
        table.add_row(*cells)
    console.print(table)


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
