"""`trimtab import`: a vector from another tool's file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from steering.atomic_write import check_file
from trimtab.builtin_sliders import check_choice, parse_layers
from trimtab.commands.inspect import print_slider
from trimtab.options import ModelOptions, console
from trimtab.saving import save


@dataclass(frozen=True)
class OwnerOptions(ModelOptions):
    """The model that a vector belongs to, where it is named."""

    model: Annotated[
        str, Option("--model", "-m", help="The model that it belongs to, to record in it.", show_default=False)
    ] = ""


def import_(
    file: Annotated[str, typer.Argument(help="The other tool's file.")],
    source: Annotated[
        str,
        Option(
            "--from",
            help="gguf, repeng, aisteer360, activation-steering, caa, refusal-direction, steering-vectors or npz.",
        ),
    ],
    out: Annotated[str, Option("--out", "-o", help="File to write the vector to.")],
    owner: OwnerOptions,
    layers: Annotated[str | None, Option(help="Such as 10-15,20; all of the file's by default.")] = None,
) -> None:
    """Make a vector of another tool's file, its layers renumbered to blocks' outputs."""
    from steering.formats import IMPORTS

    check_choice("import", source, IMPORTS)
    wanted = parse_layers(layers)
    check_file(out)
    identity = owner.load().identity if owner.model else None
    vector = IMPORTS[source](Path(file), identity)
    vector = vector if wanted is None else vector.select(wanted)
    written = save(vector.save, out)
    print_slider(vector)
    console.print(f"Written to {written}")
