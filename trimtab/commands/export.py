"""`trimtab export`: vectors, or one setting of several sliders, for another tool."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

import steering
from steering.atomic_write import make_folder
from steering.errors import SteeringError
from trimtab.builtin_sliders import check_choice, parse_layers, slider_values
from trimtab.options import ModelOptions, console

HUB = "hub"


def export(
    vectors: Annotated[list[str], Argument(help="Vector files; NAME=FILE where the file's name isn't the axis.")],
    to: Annotated[
        str,
        Option(
            help="gguf, repeng, easysteer, lm-eval, aisteer360, activation-steering or npz: a file; "
            "baked, orthogonalized or peft: a folder, with --model; hub: a folder to upload."
        ),
    ],
    out: Annotated[str, Option("--out", "-o", help="File or folder to write.")],
    model: ModelOptions,
    slider: Annotated[
        list[str] | None, Option(help="NAME=VALUE, repeatable: what is written; 1 for vectors without it.")
    ] = None,
    layers: Annotated[str | None, Option(help="Such as 10-15,20: move these instead of the vectors' own.")] = None,
    each: Annotated[bool, Option("--each", help="One file a vector, in the folder --out.")] = False,
    model_type: Annotated[str | None, Option(help="Such as llama, for vectors that don't know their model.")] = None,
    report: Annotated[str | None, Option(help="hub: a report of `trimtab evaluate`, for the card.")] = None,
    license: Annotated[str, Option(help="hub: the license that you give the vectors under.")] = "apache-2.0",
    base_model: Annotated[str | None, Option(help="hub: Hub id of the model that they move.")] = None,
) -> None:
    """Write vectors, or a setting of several sliders, for another tool. What it can't express is refused."""
    from steering.formats import EXPORTS, MODEL_EXPORTS, SUFFIXES, FixedSliders
    from steering.formats.hub import to_hub_folder

    check_choice("export", to, (*EXPORTS, *MODEL_EXPORTS, HUB))
    sliders = _sliders(vectors, layers)
    if to == HUB:
        if slider or each:
            raise SteeringError("A folder for the Hub holds whole vectors in their files; leave out --slider, --each.")
        to_hub_folder(sliders.axes, out, license=license, base_model=base_model, measured=_measured(report))
    else:
        setting = FixedSliders(sliders, dict.fromkeys(sliders.axes, 1.0) | slider_values(slider), model_type)
        if each and to in MODEL_EXPORTS:
            raise SteeringError(f"A {to!r} model holds one setting; leave out --each.")
        if each:
            folder = make_folder(out)  # no temporary one: EasySteer's files name each other by their paths
            for name, one in setting.by_axis.items():
                EXPORTS[to](one, folder / f"{name}{SUFFIXES[to]}")
        elif to in EXPORTS:
            EXPORTS[to](setting, Path(out))
        else:
            MODEL_EXPORTS[to](setting, Path(out), model.load())
    console.print(f"Written to {out}")


def _sliders(entries: Sequence[str], layers: str | None) -> "steering.Sliders":
    axes = {}
    wanted = parse_layers(layers)
    for entry in entries:
        name, separator, file = entry.partition("=")
        if not separator:
            name, file = Path(entry).stem, entry
        if not name.isidentifier() or name in axes:
            raise SteeringError(f"Expected a name of its own for each vector, found {entry!r}; write NAME=FILE.")
        slider = steering.Slider.load(file)
        axes[name] = slider if wanted is None else slider.at_layers(wanted)
    return steering.Sliders(**axes)


def _measured(report: str | None) -> str:
    """The cross-effect matrix of a report, as Markdown."""
    if report is None:
        return ""
    from probes.report import Report

    found = Report.load(report)
    effects = found.cross_effects
    text = (
        f"What a unit of each slider adds to each score, on {found.model.name!r}, in standard deviations of the "
        "bare model's score over prompts, with 95 % intervals:\n\n"
        f"| score | {' | '.join(effects.sliders)} |\n|---|{'---|' * len(effects.sliders)}"
    )
    for name, row in zip(effects.scores, effects.slopes, strict=True):
        text += f"\n| {name} | {' | '.join(map(str, row))} |"
    return text
