"""`trimtab extract`: a vector from a contrast set."""

from functools import partial
from typing import Annotated

import typer

import steering
from steering.atomic_write import check_file
from trimtab.builtin_sliders import parse_layers
from trimtab.commands.inspect import print_slider, read_contrast_set
from trimtab.options import Json, ModelOptions, console
from trimtab.saving import save
from trimtab.terminal import echo


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
    with Ranks.together() as ranks:
        if ranks.is_first:
            check_file(out)
        read = partial(stream_pairs, ranks=ranks)
        vector = steering.extract(model.load(), pairs, method=method, position=position, layers=wanted, read=read)
    if not ranks.is_first:
        return
    written = save(vector.save, out)
    if as_json:
        echo(vector.summary().model_dump_json())
    else:
        print_slider(vector)
        console.print(f"Written to {written}")
