"""`trimtab recipe` and `trimtab recipes`: vectors as published methods make them."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

import steering
from steering.atomic_write import check_file
from steering.errors import SteeringError, quoted
from trimtab.builtin_sliders import check_choice
from trimtab.commands.inspect import print_slider
from trimtab.options import Json, ModelOptions, Sets, console
from trimtab.saving import save
from trimtab.tables import print_table
from trimtab.terminal import echo


def recipes(as_json: Json = False) -> None:
    """List the published methods that `trimtab recipe` makes."""
    from steering.recipes import RECIPES

    rows = [(name, recipe.axis, recipe.summary, recipe.citation) for name, recipe in RECIPES.items()]
    if as_json:
        keys = ("name", "axis", "summary", "citation")
        echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], ensure_ascii=False))
    else:
        print_table(None, ("recipe", "slider", "what it does", "source"), rows, is_text=True)


def recipe(
    name: Annotated[str, typer.Argument(help="A name that `trimtab recipes` lists.")],
    out: Annotated[str, typer.Option("--out", "-o", help="File to write the vector to.")],
    model: ModelOptions,
    sets: Sets = None,
) -> None:
    """Make a vector as a published method makes it."""
    from steering.recipes import RECIPES

    check_choice("recipe", name, RECIPES)
    own = sets_by_role(sets)
    check_file(out)
    vector = steering.from_recipe(model.load(), name, own)
    written = save(vector.save, out)
    print_slider(vector)
    console.print(f"Written to {written}")


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
