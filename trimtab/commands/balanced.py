"""`trimtab balanced`: both sliders, each made to act on its own prompts, taught by the user's where there are any."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from steering.atomic_write import check_folder, files_in
from steering.errors import SteeringError
from trimtab.commands.inspect import print_slider
from trimtab.options import ModelOptions, console
from trimtab.saving import save
from trimtab.tables import print_table

if TYPE_CHECKING:
    from steering.vectors.provenance import Recognition
    from steering.vectors.slider import Slider

PROMPTS = "prompts a line, .jsonl, .csv, or a benchmark's NAME or NAME=FILE; 10 at least, better 30."


def balanced(
    out: Annotated[str, Option("--out", "-o", help="Folder for safety.safetensors and helpfulness.safetensors.")],
    model: ModelOptions,
    harmful: Annotated[str | None, Option(help=f"Prompts of yours that safety is to act on: {PROMPTS}")] = None,
    harmless: Annotated[str | None, Option(help="Prompts of yours that it is to leave alone, likewise.")] = None,
    false_alarms: Annotated[
        float | None,
        Option(min=0.0, max=0.99, help="Share of harmless prompts on which safety may act; 0.1 by default."),
    ] = None,
    missed: Annotated[
        float | None,
        Option(min=0.0, max=0.99, help="Share of harmful prompts on which helpfulness may act."),
    ] = None,
    quick: Annotated[bool, Option("--quick", help="Read and try half of the built-in prompts.")] = False,
) -> None:
    """Make both sliders so that each acts on its own prompts: safety on harmful ones, helpfulness on the others."""
    from steering.recipes.balanced import balanced as make
    from steering.recipes.taught_prompts import own_prompts

    own_harmful, own_harmless = _prompts(harmful, "harmful"), _prompts(harmless, "harmless")
    own_prompts(own_harmful, own_harmless)  # refused before anything is made or loaded
    check_folder(out)
    pair = make(
        model.load(),
        harmful=own_harmful,
        harmless=own_harmless,
        false_alarms=false_alarms,
        missed=missed,
        quick=quick,
    )
    written = save(partial(_save_pair, pair), out)
    for slider in pair.values():
        print_slider(slider)
    rows = map(_row, pair["safety"].recognition)
    print_table("Prompts that the gate's probe had not seen", ("prompts", "harmful seen", "false alarms"), rows)
    console.print(f"Written to {written}")


def _save_pair(pair: "Mapping[str, Slider]", out: Path) -> None:
    with files_in(out) as folder:
        for name, slider in pair.items():
            slider.save(folder / f"{name}.safetensors")


def _prompts(entry: str | None, kind: str) -> list[str]:
    """The prompts of a file, or those of a benchmark that are of the kind."""
    from probes.prompt_files import read_prompts
    from probes.published_sets import BENCHMARKS, load_benchmark

    if entry is None:
        return []
    name, _, file = entry.partition("=")
    if name.partition(":")[0] not in BENCHMARKS:
        return read_prompts(entry)
    wanted = ("harmful",) if kind == "harmful" else ("look-alike", "ordinary")
    prompts = [prompt.text for prompt in load_benchmark(name, file or None).prompts if prompt.kind in wanted]
    if not prompts:
        raise SteeringError(f"Expected {kind} prompts in the benchmark {name!r}, found none; name another.")
    return prompts


def _row(found: "Recognition") -> tuple[str, str, str]:
    """Both shares with their 95 % Wilson intervals."""
    from probes.html_report import share
    from probes.intervals import share_with_interval

    shares = []
    for count, total in ((found.caught, found.harmful), (found.false_alarms, found.harmless)):
        seen = [1.0] * count + [0.0] * (total - count)
        shares.append(f"{share(share_with_interval(seen))} of {total}")
    return found.prompts, shares[0], shares[1]
