"""`trimtab recipe` and `trimtab recipes`: vectors as published methods make them."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

import steering
from steering.errors import SteeringError, quoted
from steering.files import atomic_write
from trimtab.commands.inspect import print_slider
from trimtab.options import Json, ModelOptions, Sets, console


def recipes(as_json: Json = False) -> None:
    """List the published methods that `trimtab recipe` makes."""
    from steering.recipes import RECIPES

    if as_json:
        rows = [
            {"name": name, "axis": recipe.axis, "summary": recipe.summary, "citation": recipe.citation}
            for name, recipe in RECIPES.items()
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("recipe", "slider", "what it does", "source", show_lines=True)
    for name, recipe in RECIPES.items():
        table.add_row(name, recipe.axis, recipe.summary, recipe.citation)
    console.print(table)


def recipe(
    name: Annotated[str, typer.Argument(help="A name that `trimtab recipes` lists.")],
    out: Annotated[str, typer.Option("--out", "-o", help="File to write the vector to.")],
    model: ModelOptions,
    sets: Sets = None,
) -> None:
    """Make a vector as a published method makes it."""
    check_recipe(name)
    own = sets_by_role(sets)
    with atomic_write(out) as temporary:
        vector = steering.from_recipe(model.load(), name, own)
        vector.save(temporary)
    print_slider(vector)
    console.print(f"Written to {out}")


def check_recipe(name: str) -> None:
    """Raise SteeringError for an unknown recipe, before a model is loaded."""
    from steering.recipes import RECIPES

    if name not in RECIPES:
        raise SteeringError(f"There is no recipe {name!r}; choose from {quoted(RECIPES)}.")


def sets_by_role(entries: Sequence[str] | None) -> "dict[str, steering.ContrastSet]":
    """Contrast sets from `ROLE=FILE` entries."""
    from steering.recipes.inputs import ROLES

    sets = {}
    for entry in entries or ():
        role, separator, file = entry.partition("=")
        if not separator or role not in ROLES:
            raise SteeringError(f"Expected ROLE=FILE.jsonl with a role out of {quoted(ROLES)}, found {entry!r}.")
        sets[role] = steering.ContrastSet.load(file)
    return sets
