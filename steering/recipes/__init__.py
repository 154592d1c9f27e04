"""Published methods by name, put together from directions, interventions and gates with the papers' defaults.

`from_recipe(lm, "cast")` gives the slider of one; `RECIPES["mine"] = Recipe(…)` adds your own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from steering.data.contrast import ContrastSet
from steering.errors import SteeringError, quoted
from steering.models.language_model import LanguageModel
from steering.recipes.ace import ace
from steering.recipes.adasteer import adasteer
from steering.recipes.alphasteer import alphasteer
from steering.recipes.angular import angular
from steering.recipes.caa import caa
from steering.recipes.cast import cast
from steering.recipes.inputs import RecipeInputs
from steering.recipes.iti import iti
from steering.recipes.jailbreak_antidote import jailbreak_antidote
from steering.recipes.llm_va import llm_va
from steering.recipes.persona import persona
from steering.recipes.refusal_direction import refusal_direction
from steering.recipes.repe import repe
from steering.recipes.scans import scans
from steering.recipes.surgical import surgical
from steering.vectors.slider import Slider


@dataclass(frozen=True)
class Recipe:
    """A published method: how its slider is made, which slider it is meant for, and where it is from."""

    make: Callable[[RecipeInputs], Slider]
    axis: str
    citation: str

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.make.__doc__ or "").strip().splitlines()[0]


RECIPES: dict[str, Recipe] = {
    "caa": Recipe(caa, "safety", "Rimsky et al. 2023, arXiv 2312.06681"),
    "repe": Recipe(repe, "safety", "Zou et al. 2023, arXiv 2310.01405"),
    "refusal-direction": Recipe(refusal_direction, "safety", "Arditi et al. 2024, arXiv 2406.11717"),
    "ace": Recipe(ace, "safety", "Marshall et al. 2024, arXiv 2411.09003"),
    "cast": Recipe(cast, "safety", "Lee et al. 2024, arXiv 2409.05907"),
    "surgical": Recipe(surgical, "helpfulness", "Wang et al. 2024, arXiv 2410.03415"),
    "jailbreak-antidote": Recipe(jailbreak_antidote, "safety", "Shen et al. 2024, arXiv 2410.02298"),
    "adasteer": Recipe(adasteer, "safety", "Zhao et al. 2025, arXiv 2504.09466"),
    "alphasteer": Recipe(alphasteer, "safety", "Sheng et al. 2025, arXiv 2506.07022"),
    "angular": Recipe(angular, "safety", "Vu and Nguyen 2025, arXiv 2510.26243"),
    "iti": Recipe(iti, "safety", "Li et al. 2023, arXiv 2306.03341"),
    "scans": Recipe(scans, "safety", "Cao et al. 2024, arXiv 2408.11491"),
    "llm-va": Recipe(llm_va, "safety", "Zhang et al. 2026, arXiv 2601.19487"),
    "persona": Recipe(persona, "safety", "Chen et al. 2025, arXiv 2507.21509"),
}


def from_recipe(
    lm: LanguageModel, name: str, sets: Mapping[str, ContrastSet] | None = None, progress: bool = True
) -> Slider:
    """The slider that a published method makes on a model, ready for `Sliders` and `save`.

    Args:
        lm: the model.
        name: a name in `RECIPES`.
        sets: your own contrast sets by role (`steering.recipes.inputs.ROLES`); the built-in ones otherwise.
        progress: show bars.

    Returns:
        The slider, its origin naming the recipe and the paper.

    Raises:
        SteeringError: for an unknown recipe or role.

    Example:
        >>> from steering import from_recipe
        >>> from_recipe(lm, "repe", {"safety": pairs}, progress=False)
        Slider('toy', 1 push, range -1 to 1)
    """
    return from_inputs(RecipeInputs(lm, sets or {}, progress), name)


def from_inputs(inputs: RecipeInputs, name: str) -> Slider:
    """Make the slider as `from_recipe` does, from activations that recipes on the same inputs share.

    Args:
        inputs: the model and contrast sets.
        name: a name in `RECIPES`.

    Returns:
        The slider.

    Raises:
        SteeringError: for an unknown recipe.
    """
    if name not in RECIPES:
        raise SteeringError(f"There is no recipe {name!r}; choose from {quoted(RECIPES)}.")
    inputs.sources.clear()
    slider = RECIPES[name].make(inputs)
    recipe = {"recipe": name, "citation": RECIPES[name].citation, "sources": tuple(inputs.sources)}
    return slider.along(
        lambda vector: replace(vector, origin=vector.origin and vector.origin.model_copy(update=recipe))
    )
