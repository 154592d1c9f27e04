"""`trimtab compare`: the vectors, recipes and baselines that stand in one report."""

from collections.abc import Sequence

from probes.baselines import probe_scorer
from probes.linear import fit_probe
from probes.methods import BestOfN, Method, Prompting, Steering, random_sliders
from steering import ContrastSet, LanguageModel, Sliders, from_recipe
from steering.errors import SteeringError, quoted
from trimtab.axes import axes_from
from trimtab.recipes import check_recipe

BASELINES = ("prompting", "best-of-n", "random")
SCORER_SETS = {"safety": "safety-response", "helpfulness": "helpfulness"}
"""Answers that best-of-n's probes learn from: the judge of the report has seen neither."""


def check_methods(methods: Sequence[str], recipes: Sequence[str], baselines: Sequence[str]) -> None:
    """Raise SteeringError for an entry that names nothing, before a model is loaded."""
    names = [_parse(entry)[0] for entry in methods]
    for recipe in recipes:
        check_recipe(recipe)
    if unknown := [baseline for baseline in baselines if baseline not in BASELINES]:
        raise SteeringError(f"There is no baseline {quoted(unknown)}; choose from {quoted(BASELINES)}.")
    everything = [*(names or ["sliders"]), *recipes, *baselines]
    if len(set(everything)) < len(everything):
        raise SteeringError(f"Expected every method under a name of its own, found {quoted(everything)}; rename one.")


def methods_from(
    lm: LanguageModel,
    methods: Sequence[str],
    recipes: Sequence[str],
    baselines: Sequence[str],
    allow_mismatch: Sequence[str],
) -> dict[str, Method]:
    """Methods by name: vectors from files (the built-in axes without any), recipes made now, baselines.

    The random baseline is of the first method's norms.
    """
    sliders: dict[str, Sliders] = {}
    for entry in methods or ["sliders:"]:
        name, files = _parse(entry) if methods else ("sliders", [])
        sliders[name] = Sliders(**axes_from(lm, files, allow_mismatch))
    first = next(iter(sliders.values()))
    for recipe in recipes:
        sliders[recipe] = _recipe_sliders(lm, recipe)
    found: dict[str, Method] = {name: Steering(one) for name, one in sliders.items()}
    for baseline in baselines:
        found[baseline] = _baseline(lm, baseline, first)
    return found


def _recipe_sliders(lm: LanguageModel, recipe: str) -> Sliders:
    from steering.recipes import RECIPES

    return Sliders(**{RECIPES[recipe].axis: from_recipe(lm, recipe)})


def _baseline(lm: LanguageModel, baseline: str, first: Sliders) -> Method:
    if baseline == "prompting":
        return Prompting()
    if baseline == "random":
        return Steering(random_sliders(first))
    probes = {axis: fit_probe(lm, ContrastSet.builtin(name)) for axis, name in SCORER_SETS.items()}
    return BestOfN({axis: probe_scorer(lm, probe) for axis, probe in probes.items()}, "probes of answers' states")


def _parse(entry: str) -> tuple[str, list[str]]:
    """`plain:safety=a.safetensors,helpfulness=b.safetensors` -> its name and `NAME=FILE` entries."""
    name, separator, files = entry.partition(":")
    if not (separator and name and files):
        raise SteeringError(f"Expected NAME:AXIS=FILE, such as plain:safety=safety.safetensors, found {entry!r}.")
    return name, files.split(",")
