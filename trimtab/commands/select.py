"""`trimtab select`: the search for the position and layer of a refusal direction."""

from contextlib import nullcontext
from typing import Annotated

import typer
from rich.table import Table

from steering.files import atomic_write
from trimtab.commands.recipe import sets_by_role
from trimtab.options import ModelOptions, Sets, console

SHOWN = 10
"""Candidates that are printed; the file has them all."""


def select(
    out: Annotated[str, typer.Option("--out", "-o", help="JSON file for the table of all candidates.")],
    model: ModelOptions,
    plot: Annotated[str | None, typer.Option(help="PNG or SVG file for a picture of it.")] = None,
    criterion: Annotated[str, typer.Option(help="arditi or cosmic.")] = "arditi",
    sets: Sets = None,
) -> None:
    """Search the position and layer whose direction controls refusal best, and keep the table."""
    from steering.recipes.inputs import RecipeInputs
    from steering.recipes.refusal_direction import search
    from steering.recipes.selection import check_criterion, check_picture

    chosen = check_criterion(criterion)
    if plot is not None:
        check_picture(plot)
    own = sets_by_role(sets)
    with atomic_write(out) as file, nullcontext() if plot is None else atomic_write(plot) as picture:
        selection = search(RecipeInputs(model.load(), own), chosen)
        selection.save(file)
        if picture is not None:
            selection.plot(picture)
    title = f"best of {len(selection.candidates)} candidates"
    table = Table("position", "layer", "bypass", "induce", "KL", title=title)
    for candidate in sorted(selection.candidates, key=selection.rank)[:SHOWN]:
        figures = (candidate.bypass, candidate.induce, candidate.kl)
        mark = " *" if candidate == selection.best else ""
        table.add_row(candidate.position, f"{candidate.layer}{mark}", *(f"{figure:.3f}" for figure in figures))
    console.print(table)
    console.print(f"Written to {out}")
