"""`trimtab recipes`, `recipe` and `select`: what is listed, read and printed around the library's calls."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from steering import ContrastSet
from steering.errors import SteeringError, quoted
from steering.recipes import RECIPES
from steering.recipes.inputs import ROLES
from steering.recipes.selection import Selection


def print_recipes(as_json: bool, console: Console) -> None:
    """Name, slider, summary and source of every recipe."""
    if as_json:
        rows = [
            {"name": name, "axis": recipe.axis, "summary": recipe.summary, "citation": recipe.citation}
            for name, recipe in RECIPES.items()
        ]
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("recipe", "slider", "what it does", "source", show_lines=True)
    for name, recipe in RECIPES.items():
        table.add_row(name, recipe.axis, recipe.summary, recipe.citation)
    console.print(table, markup=False)


def check_recipe(name: str) -> None:
    """Raise SteeringError for an unknown recipe, before a model is loaded."""
    if name not in RECIPES:
        raise SteeringError(f"There is no recipe {name!r}; choose from {quoted(RECIPES)}.")


def sets_by_role(entries: Sequence[str]) -> dict[str, ContrastSet]:
    """Contrast sets from `ROLE=FILE` entries."""
    sets = {}
    for entry in entries:
        role, separator, file = entry.partition("=")
        if not separator or role not in ROLES:
            raise SteeringError(f"Expected ROLE=FILE.jsonl with a role out of {quoted(ROLES)}, found {entry!r}.")
        sets[role] = ContrastSet.load(file)
    return sets


def print_selection(selection: Selection, console: Console, shown: int = 10) -> None:
    """The best candidates of a search."""
    table = Table(
        "position", "layer", "bypass", "induce", "KL", title=f"best of {len(selection.candidates)} candidates"
    )
    best_first = sorted(selection.candidates, key=selection.rank)
    for candidate in best_first[:shown]:
        figures = (candidate.bypass, candidate.induce, candidate.kl)
        mark = " *" if candidate == selection.best else ""
        table.add_row(candidate.position, f"{candidate.layer}{mark}", *(f"{figure:.3f}" for figure in figures))
    console.print(table, markup=False)
