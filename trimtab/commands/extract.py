"""`trimtab extract`: a vector from a contrast set."""

from functools import partial
from typing import Annotated

import typer

import steering
from steering.atomic_write import atomic_write
from trimtab.builtin_sliders import parse_layers
from trimtab.commands.inspect import print_slider
from trimtab.options import Json, ModelOptions, console, read_contrast_set


def extract(
    contrast_set: Annotated[str, typer.Argument(help="Name of a built-in contrast set, or a .jsonl file.")],
    out: Annotated[str, typer.Option("--out", "-o", help="File to write the vector to.")],
    model: ModelOptions,
    method: Annotated[str, typer.Option(help="Extraction method.")] = "difference_in_means",
    position: Annotated[
        str | None, typer.Option(help="Such as last, post_instruction or generated; by default what fits the set.")
    ] = None,
    layers: Annotated[str | None, typer.Option(help="Such as 10-15,20; all by default.")] = None,
    as_json: Json = False,
) -> None:
    """Make a vector from a contrast set; under torchrun, with all its processes."""
    from steering.activations.distributed import Ranks
    from steering.activations.recording import stream_pairs

    pairs = read_contrast_set(contrast_set)
    wanted = parse_layers(layers)
    with Ranks.together() as ranks, ranks.first_only(atomic_write(out)) as temporary:
        read = partial(stream_pairs, ranks=ranks)
        lm = model.load()
        vector = steering.extract(
            lm, pairs, method=method, position=position, layers=wanted, read=read, progress=not as_json
        )
        if temporary is not None:  # the folder was checked before the work, the file is replaced after it
            vector.save(temporary)
    if temporary is None:
        return
    if as_json:
        typer.echo(vector.summary().model_dump_json())
    else:
        print_slider(vector)
        console.print(f"Written to {out}")
