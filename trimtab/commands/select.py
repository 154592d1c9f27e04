"""`trimtab select`: the search for the position and layer of a refusal direction."""

from typing import Annotated

import typer

from steering.atomic_write import check_file
from trimtab.commands.recipe import sets_by_role
from trimtab.options import ModelOptions, Sets, console
from trimtab.saving import save
from trimtab.tables import print_table

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
    check_file(out)
    if plot is not None:
        check_file(plot)
    selection = search(RecipeInputs(model.load(), own), chosen)
    written = save(selection.save, out)
    if plot is not None:
        save(selection.plot, plot)
    rows = []
    for candidate in sorted(selection.candidates, key=selection.rank)[:SHOWN]:
        layer = f"{candidate.layer}{' *' if candidate == selection.best else ''}"
        figures = (candidate.bypass, candidate.induce, candidate.kl)
        rows.append((candidate.position, layer, *(f"{figure:.3f}" for figure in figures)))
    title = f"best of {len(selection.candidates)} candidates"
    print_table(title, ("position", "layer", "bypass", "induce", "KL"), rows)
    console.print(f"Written to {written}")
