"""`trimtab inspect`: vectors and contrast sets as tables or JSON."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from steering import ContrastSet, SteeringVector, lint
from steering.errors import SteeringError, quoted


def read_contrast_set(name: str) -> ContrastSet:
    """A contrast set from a .jsonl file, or a built-in one."""
    return ContrastSet.load(name) if name.endswith(".jsonl") else ContrastSet.builtin(name)


def inspect_target(target: str, as_json: bool, console: Console) -> None:
    """Print what `target` is: a contrast set (`.jsonl` file or built-in name) or a vector file."""
    if target.endswith(".jsonl") or (target in ContrastSet.builtin_names() and not Path(target).exists()):
        contrast_set = read_contrast_set(target)
        summary = contrast_set_summary(contrast_set)
        if as_json:
            print(json.dumps(summary, ensure_ascii=False))
        else:
            print_contrast_set(contrast_set, console)
        return
    if not Path(target).is_file():
        raise SteeringError(
            f"There is no file {target!r}, nor a contrast set of that name; "
            f"the built-in sets are {quoted(ContrastSet.builtin_names())}."
        )
    vector = SteeringVector.load(target)
    if as_json:
        print(json.dumps(vector_summary(vector), ensure_ascii=False))
    else:
        print_vector(vector, console)


def vector_summary(vector: SteeringVector) -> dict[str, Any]:
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


def print_vector(vector: SteeringVector, console: Console) -> None:
    """What a vector is, and a row a layer."""
    console.print(vector.describe(), highlight=False, markup=False)
    table = Table("layer", "norm", title="by layer; a slider moves the marked ones", title_justify="left")
    for heading in ("residual norm", "AUROC", "pair cosine") if vector.profile else ():
        table.add_column(heading, justify="right")
    for row, layer in enumerate(vector.layers):
        mark = "*" if layer in vector.recommended_layers else ""
        cells = [f"{layer}{mark}", f"{vector[layer].norm():.2f}"]
        if vector.profile:
            profile = vector.profile
            cells += [
                f"{profile.residual_norm[row]:.1f}",
                f"{profile.auroc[row]:.3f}",
                f"{profile.pair_cosine[row]:.3f}",
            ]
        table.add_row(*cells)
    console.print(table, markup=False)


def contrast_set_summary(contrast_set: ContrastSet) -> dict[str, Any]:
    """Header, counts and findings."""
    return {
        "header": contrast_set.header.model_dump(),
        "pairs": len(contrast_set),
        "groups": contrast_set.groups,
        "fingerprint": contrast_set.fingerprint,
        "findings": [
            {"check": finding.check, "lines": finding.lines, "message": finding.message}
            for finding in lint(contrast_set)
        ],
    }


def print_contrast_set(contrast_set: ContrastSet, console: Console) -> None:
    """What a contrast set says of itself, an example a group, and what the checks found."""
    header = contrast_set.header
    console.print(
        f"{header.name}: {len(contrast_set)} pairs, {contrast_set.fingerprint}", highlight=False, markup=False
    )
    for label, text in (("+", header.positive), ("-", header.negative), ("why", header.why)):
        console.print(f"{label}: {text}", highlight=False, markup=False)
    table = Table("group", "pairs", "a positive side", "its negative side", show_lines=True)
    for group, count in contrast_set.groups.items():
        pair = next(pair for pair in contrast_set if pair.group == group)
        table.add_row(group, str(count), pair.positive[-1].content, pair.negative[-1].content)
    console.print(table, markup=False)
    findings = lint(contrast_set)
    for finding in findings:
        console.print(f"{finding.check}: {finding}", highlight=False, markup=False)
    console.print(f"{len(findings)} findings" if findings else "no findings")
