"""`trimtab compare`: vectors, recipes and baselines in one report."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

import steering
from steering.atomic_write import files_in
from steering.errors import SteeringError, quoted
from trimtab.builtin_sliders import check_choice
from trimtab.commands.evaluate import print_report
from trimtab.measuring import GridOptions, behind_openings
from trimtab.options import AllowMismatch, ModelOptions, PairsOptions, VectorOptions, console
from trimtab.saving import check_places, save
from trimtab.tables import print_table

if TYPE_CHECKING:
    from probes.methods import Method
    from probes.report import Report

BASELINES = ("prompting", "best-of-n", "adacd", "random")
SCORER_SETS = {"safety": "safety-response", "helpfulness": "helpfulness"}
"""Answers that best-of-n's probes learn from: the judge of the report has seen neither."""


def compare(
    html: Annotated[str, Option(help="File for the report as one HTML page.")],
    model: ModelOptions,
    options: GridOptions,
    own_sets: PairsOptions,
    method: Annotated[
        list[str] | None,
        Option(help="NAME:AXIS=FILE,…, repeatable: vectors that move together. Without it: the balanced pair."),
    ] = None,
    recipe: Annotated[list[str] | None, Option(help="A name that `trimtab recipes` lists, repeatable.")] = None,
    baseline: Annotated[
        list[str] | None,
        Option(help="prompting, best-of-n, adacd, random or trained=FOLDER (control tokens), repeatable."),
    ] = None,
    out: Annotated[str | None, Option(help="Folder for each method's report as JSON.")] = None,
    allow_mismatch: AllowMismatch = None,
) -> None:
    """Put several vectors, recipes and baselines into one report: the same prompts, decoding and judge.

    By their answers alone, but for methods with an axis of your own, whose contrast set --pairs names: they are also
    measured by scores without generation, as `trimtab evaluate` does it.
    """
    from probes.evaluation import compare as measure
    from probes.frontier import hypervolume
    from probes.html_report import write_html
    from steering.recipes import RECIPES

    grid, decoding, benchmarks = options.grid(), options.decoding(), options.benchmarks("built-in")
    pairs = own_sets.contrast_sets()
    openings = options.openings(benchmarks)
    files = _files_by_method(method or (), recipe or (), baseline or ())
    check_places(html, folders=[out, options.cells])
    judges = options.judges()
    lm = model.load()
    benchmarks += behind_openings(lm, benchmarks, openings)
    methods: dict[str, steering.Sliders | Method] = {}
    for name, own in files.items():
        methods[name] = VectorOptions(own, allow_mismatch).sliders(lm)
    first = next(iter(methods.values()))
    assert isinstance(first, steering.Sliders)
    for name in recipe or ():
        methods[name] = steering.Sliders(**{RECIPES[name].axis: steering.from_recipe(lm, name)})
    for name in baseline or ():
        methods[_baseline_name(name)] = _baseline(lm, name, first)
    same: dict[str, Any] = {"judges": judges, "decoding": decoding, "folder": options.cells}
    reports = measure(lm, methods, grid, benchmarks, pairs=pairs, **same)
    if out is not None:
        save(partial(_save_all, reports), out)
    written = save(partial(write_html, reports), html)
    for name, report in reports.items():
        console.rule(name)
        print_report(report)
    volumes = [
        (name, f"{hypervolume(points):.3f}") for name, report in reports.items() if (points := report.frontier())
    ]
    if volumes:
        print_table("Hypervolume: 1 refuses every harmful prompt and answers every look-alike", ("method", ""), volumes)
    console.print(f"Written to {written}")


def _save_all(reports: "Mapping[str, Report]", out: Path) -> None:
    with files_in(out) as folder:
        for name, report in reports.items():
            report.save(folder / f"{name}.json")


def _files_by_method(methods: Sequence[str], recipes: Sequence[str], baselines: Sequence[str]) -> dict[str, list[str]]:
    """`["mine:safety=a.safetensors"]` -> `{"mine": ["safety=a.safetensors"]}`; without any, `balanced` with no file.

    Raises SteeringError for an entry that names nothing, and for a name that stands twice, before a model is loaded.
    """
    from steering.recipes import RECIPES

    files = []
    for entry in methods:
        name, _, text = entry.partition(":")
        if not (name and text) or "/" in name:
            raise SteeringError(f"Expected NAME:AXIS=FILE, such as plain:safety=safety.safetensors, found {entry!r}.")
        files.append((name, text.split(",")))
    files = files or [("balanced", [])]
    for recipe in recipes:
        check_choice("recipe", recipe, RECIPES)
    for baseline in baselines:
        _check_baseline(baseline)
    names = [*(name for name, _ in files), *recipes, *map(_baseline_name, baselines)]
    if len(set(names)) < len(names):
        raise SteeringError(f"Expected every method under a name of its own, found {quoted(names)}; rename one.")
    return dict(files)


def _baseline_name(baseline: str) -> str:
    """What reports call it: `"trained=runs/exmate"` -> `"trained exmate"`."""
    kind, _, folder = baseline.partition("=")
    return f"{kind} {Path(folder).name}" if folder else kind


def _check_baseline(baseline: str) -> None:
    """Raise SteeringError for a baseline that isn't known, or a trained one that isn't there."""
    from probes.trained.control_tokens import ControlTokens

    kind, is_trained, folder = baseline.partition("=")
    if kind == "trained" and is_trained:
        ControlTokens(folder)
    else:
        check_choice("baseline", baseline, (*BASELINES, "trained=FOLDER"))


def _baseline(lm: "steering.LanguageModel", baseline: str, first: "steering.Sliders") -> "Method":
    """A baseline by name; the random one has the norms of the first method's vectors."""
    from probes.baselines import probe_scorer
    from probes.linear import fit_probe
    from probes.methods import AdaptiveContrast, BestOfN, Prompting, SliderMethod, random_sliders
    from probes.trained.control_tokens import ControlTokens

    if baseline == "prompting":
        return Prompting()
    if baseline == "adacd":
        return AdaptiveContrast()
    if baseline.startswith("trained="):
        return ControlTokens(baseline.removeprefix("trained="))
    if baseline == "random":
        return SliderMethod(random_sliders(first))
    probes = {axis: fit_probe(lm, steering.ContrastSet.builtin(name)) for axis, name in SCORER_SETS.items()}
    return BestOfN({axis: probe_scorer(lm, probe) for axis, probe in probes.items()}, "probes of answers' states")
