"""`trimtab bench`: what steering costs on this machine."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from trimtab.options import Json, ModelOptions, console
from trimtab.tables import print_table
from trimtab.terminal import echo


def bench(
    model: ModelOptions,
    rounds: Annotated[int, typer.Option(min=1, help="Pairs of runs for each ratio; the sweep runs once.")] = 7,
    new_tokens: Annotated[int, typer.Option(min=1, help="New tokens of the decoding runs.")] = 64,
    compiled: Annotated[bool, typer.Option(help="Also compile a copy of the model.")] = False,
    as_json: Json = False,
) -> None:
    """Measure what steering, extraction and sweeps cost on this machine, beside the bare model."""
    from trimtab.bench import bench as measure

    result = measure(model.load(), rounds, new_tokens, compiled, progress=not as_json)
    if as_json:
        echo(json.dumps(asdict(result)))
        return
    columns = ("ours / reference", "times as fast", "lowest to highest", "ours, s", "reference, s")
    rows = []
    for line in result.ratios:
        seconds = (f"{line.ours_seconds:.2f}", f"{line.reference_seconds:.2f}")
        rows.append((line.name, f"{line.ratio:.3f}", f"{line.lowest:.3f} to {line.highest:.3f}", *seconds))
    print_table(f"{result.model}, {result.dtype}", columns, rows)
    peak = "" if result.extraction_peak_mb is None else f"{result.extraction_peak_mb:.0f} MB above the loaded model; "
    console.print(
        f"Sweep and loop gave {'the same answers' if result.sweep_is_identical else 'DIFFERENT answers'}. "
        f"Extraction: {peak}start-up: {result.start_up_seconds:.1f} s.\n"
        f"{result.machine}, {result.threads} threads, {result.versions}, {result.rounds} rounds."
    )
