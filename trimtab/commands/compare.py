"""`trimtab compare`: vectors, recipes and baselines in one report."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

import steering
from steering.errors import SteeringError, quoted
from steering.files import atomic_write
from trimtab.axes import write_folder
from trimtab.commands.evaluate import print_report
from trimtab.commands.recipe import check_recipe
from trimtab.measuring import GridOptions
from trimtab.options import AllowMismatch, ModelOptions, VectorOptions, console

if TYPE_CHECKING:
    from probes.methods import Method
    from probes.report import Report

BASELINES = ("prompting", "best-of-n", "random")
SCORER_SETS = {"safety": "safety-response", "helpfulness": "helpfulness"}
"""Answers that best-of-n's probes learn from: the judge of the report has seen neither."""


def compare(
    html: Annotated[str, typer.Option(help="File for the report as one HTML page.")],
    model: ModelOptions,
    options: GridOptions,
    method: Annotated[
        list[str] | None,
        typer.Option(help="NAME:AXIS=FILE,…, repeatable: vectors that move together. Without it: the built-in two."),
    ] = None,
    recipe: Annotated[list[str] | None, typer.Option(help="A name that `trimtab recipes` lists, repeatable.")] = None,
    baseline: Annotated[list[str] | None, typer.Option(help="prompting, best-of-n or random, repeatable.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for each method's report as JSON.")] = None,
    allow_mismatch: AllowMismatch = None,
) -> None:
    """Put several vectors, recipes and baselines into one report: the same prompts, decoding and judge.

    By their answers alone; `trimtab evaluate` also measures scores without generation.
    """
    from probes.evaluation import compare as measure
    from probes.html_report import write_html
    from steering.recipes import RECIPES

    grid, decoding, benchmarks = options.grid(), options.decoding(), options.benchmarks("built-in")
    files = _files_by_method(method or (), recipe or (), baseline or ())
    folder = None if out is None else write_folder(out)
    with atomic_write(html) as page:
        judges = options.judges()
        lm = model.load()
        sliders = {name: steering.Sliders(**VectorOptions(own, allow_mismatch).axes(lm)) for name, own in files.items()}
        first = next(iter(sliders.values()))
        for name in recipe or ():
            sliders[name] = steering.Sliders(**{RECIPES[name].axis: steering.from_recipe(lm, name)})
        methods: dict[str, steering.Sliders | Method] = {**sliders} | {
            name: _baseline(lm, name, first) for name in baseline or ()
        }
        reports = measure(lm, methods, grid, benchmarks, judges=judges, decoding=decoding, folder=options.cells)
        for name, report in reports.items() if folder else ():
            assert folder is not None
            report.save(folder / f"{name}.json")
        write_html(reports, page)
    _print_comparison(reports)
    console.print(f"Written to {html}")


def _files_by_method(methods: Sequence[str], recipes: Sequence[str], baselines: Sequence[str]) -> dict[str, list[str]]:
    """`["mine:safety=a.safetensors"]` -> `{"mine": ["safety=a.safetensors"]}`; without any, `sliders` with no file.

    Raises SteeringError for an entry that names nothing, and for a name that stands twice, before a model is loaded.
    """
    files = {}
    for entry in methods:
        name, _, text = entry.partition(":")
        if not (name and text):
            raise SteeringError(f"Expected NAME:AXIS=FILE, such as plain:safety=safety.safetensors, found {entry!r}.")
        files[name] = text.split(",")
    for name in recipes:
        check_recipe(name)
    if unknown := [name for name in baselines if name not in BASELINES]:
        raise SteeringError(f"There is no baseline {quoted(unknown)}; choose from {quoted(BASELINES)}.")
    names = [*([entry.partition(":")[0] for entry in methods] or ["sliders"]), *recipes, *baselines]
    if len(set(names)) < len(names):
        raise SteeringError(f"Expected every method under a name of its own, found {quoted(names)}; rename one.")
    return files or {"sliders": []}


def _baseline(lm: "steering.LanguageModel", baseline: str, first: "steering.Sliders") -> "Method":
    """A baseline by name; the random one has the norms of the first method's vectors."""
    from probes.baselines import probe_scorer
    from probes.linear import fit_probe
    from probes.methods import BestOfN, Prompting, SliderMethod, random_sliders

    if baseline == "prompting":
        return Prompting()
    if baseline == "random":
        return SliderMethod(random_sliders(first))
    scorers = {
        axis: probe_scorer(lm, fit_probe(lm, steering.ContrastSet.builtin(name))) for axis, name in SCORER_SETS.items()
    }
    return BestOfN(scorers, "probes of answers' states")


def _print_comparison(reports: "dict[str, Report]") -> None:
    """Each method's report, and the hypervolumes of their frontiers."""
    from probes.frontier import hypervolume

    for name, report in reports.items():
        console.rule(name)
        print_report(report)
    volumes = Table("method", title="Hypervolume: 1 refuses every harmful prompt and answers every look-alike")
    volumes.add_column("", justify="right")
    for name, report in reports.items():
        if points := report.frontier():
            volumes.add_row(name, f"{hypervolume(points):.3f}")
    if volumes.row_count:
        console.print(volumes)
