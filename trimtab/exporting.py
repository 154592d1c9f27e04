"""The commands that carry vectors to other tools and back: export, import."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.options import (
    DEFAULT_MODEL,
    Blocks,
    DeviceMap,
    Dtype,
    Model,
    Revision,
    SystemPrompt,
    console,
    load_model,
)

if TYPE_CHECKING:
    from steering import Sliders

HUB = "hub"


def export(
    vectors: Annotated[list[str], typer.Argument(help="Vector files; NAME=FILE where the file's name isn't the axis.")],
    to: Annotated[
        str,
        typer.Option(
            help="gguf, repeng, easysteer, lm-eval, aisteer360, activation-steering or npz: a file; "
            "baked, orthogonalized or peft: a folder, with --model; hub: a folder to upload."
        ),
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="File or folder to write.")],
    slider: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, repeatable: what is written; 1 for vectors without it.")
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Such as 10-15,20: move these instead of the vectors' own.")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="One file a vector, in the folder --out.")] = False,
    model_type: Annotated[
        str | None, typer.Option(help="Such as llama, for vectors that don't know their model.")
    ] = None,
    report: Annotated[str | None, typer.Option(help="hub: a report of `trimtab evaluate`, for the card.")] = None,
    licence: Annotated[str, typer.Option(help="hub: the licence that you give the vectors under.")] = "apache-2.0",
    base_model: Annotated[str | None, typer.Option(help="hub: Hub id of the model that they move.")] = None,
    model: Model = DEFAULT_MODEL,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
) -> None:
    """Write vectors, or a setting of several sliders, for another tool. What it can't express is refused."""
    from steering.errors import SteeringError, quoted
    from steering.formats import EXPORTS, MODEL_EXPORTS, SUFFIXES, Setting
    from steering.formats.hub import to_hub_folder
    from trimtab.axes import write_folder

    if to not in (*EXPORTS, *MODEL_EXPORTS, HUB):
        raise SteeringError(f"There is no export {to!r}; choose from {quoted((*EXPORTS, *MODEL_EXPORTS, HUB))}.")
    sliders = _sliders(vectors, layers)
    if to == HUB:
        if slider or each:
            raise SteeringError(
                "A folder for the Hub holds whole vectors, each in its own file; leave out --slider, --each."
            )
        to_hub_folder(sliders.axes, out, licence=licence, base_model=base_model, measured=_measured(report))
    else:
        setting = Setting(sliders, dict.fromkeys(sliders.axes, 1.0) | slider_values(slider or []), model_type)
        if each and to in MODEL_EXPORTS:
            raise SteeringError(f"A {to!r} model holds one setting; leave out --each.")
        if each:
            folder = write_folder(out)
            for name, one in setting.by_axis.items():
                EXPORTS[to](one, folder / f"{name}{SUFFIXES[to]}")
        elif to in EXPORTS:
            EXPORTS[to](setting, Path(out))
        else:
            lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
            MODEL_EXPORTS[to](setting, Path(out), lm)
    console.print(f"Written to {out}", markup=False)


def import_(
    file: Annotated[str, typer.Argument(help="The other tool's file.")],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="gguf, repeng, aisteer360, activation-steering, caa, refusal-direction, steering-vectors or npz.",
        ),
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="File to write the vector to.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The model that it belongs to: checked, and recorded in it.")
    ] = None,
    layers: Annotated[str | None, typer.Option(help="Such as 10-15,20; all of the file's by default.")] = None,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
) -> None:
    """Make a vector of another tool's file, its layers renumbered to blocks' outputs."""
    from steering.errors import SteeringError, quoted
    from steering.files import atomic_write
    from steering.formats import IMPORTS
    from trimtab.axes import parse_layers
    from trimtab.inspection import print_vector

    if source not in IMPORTS:
        raise SteeringError(f"There is no import {source!r}; choose from {quoted(IMPORTS)}.")
    wanted = parse_layers(layers)
    with atomic_write(out) as temporary:
        lm = load_model(model, dtype, device_map, revision, system_prompt, blocks) if model else None
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            vector = IMPORTS[source](Path(file), lm.identity if lm else None)
        for note in notes:
            typer.echo(f"Note: {note.message}", err=True)
        vector = vector if wanted is None else vector.select(wanted)
        vector.save(temporary)
    print_vector(vector, console)
    console.print(f"Written to {out}", markup=False)


def slider_values(entries: Sequence[str]) -> dict[str, float]:
    """`["safety=0.8"]` -> `{"safety": 0.8}`. Raises SteeringError for other text."""
    from steering.errors import SteeringError

    values = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise SteeringError(f"Expected NAME=VALUE, such as safety=0.5, found {entry!r}.") from None
    return values


def _sliders(entries: Sequence[str], layers: str | None) -> "Sliders":
    from steering import Sliders, SteeringVector
    from steering.errors import SteeringError
    from trimtab.axes import parse_layers

    axes = {}
    wanted = parse_layers(layers)
    for entry in entries:
        name, separator, file = entry.partition("=")
        if not separator:
            name, file = Path(entry).stem, entry
        if not name.isidentifier() or name in axes:
            raise SteeringError(f"Expected a name of its own for each vector, found {entry!r}; write NAME=FILE.")
        vector = SteeringVector.load(file)
        axes[name] = vector if wanted is None else vector.select(wanted)
    return Sliders(**axes)


def _measured(report: str | None) -> str:
    """The cross-effect matrix of a report, as Markdown."""
    if report is None:
        return ""
    from probes.report import Report

    found = Report.load(report)
    effects = found.cross_effects
    lines = [
        f"What a unit of each slider adds to each score, on {found.model.name!r}, in standard deviations of the bare "
        "model's score over prompts, with 95 % intervals:",
        "",
        f"| score | {' | '.join(effects.sliders)} |",
        f"|---|{'---|' * len(effects.sliders)}",
        *(
            f"| {name} | {' | '.join(map(str, row))} |"
            for name, row in zip(effects.scores, effects.slopes, strict=True)
        ),
    ]
    return "\n".join(lines)


COMMANDS = (export, import_)
