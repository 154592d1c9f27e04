"""The balanced pair of a model: shipped with the package, kept from an earlier time, or made now and kept.

How it is made is `steering.recipes.balanced`'s business; where it is found, and for which model, is this one's.
"""

from importlib.metadata import version
from pathlib import Path

from steering.data.contrast import ContrastSet
from steering.errors import SteeringError
from steering.models.gguf import cache_folder
from steering.models.identity import fingerprint
from steering.models.language_model import LanguageModel
from steering.recipes.balanced import balanced
from steering.vectors.file_format import FORMAT_VERSION
from steering.vectors.slider import Slider

AXES = ("safety", "helpfulness")
FORM = 1
"""Raised when the recipe makes other sliders than before, so that those in cache folders are made anew."""
_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "shipped_vectors"
SHIPPED = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "vectors"
"""Pairs that come with the package, a folder a model: inside the installed package, or at the top of a clone."""


def balanced_pair(lm: LanguageModel, *, progress: bool = True) -> dict[str, Slider]:
    """The balanced pair: one that is at hand, else made now, which takes minutes, and kept in the cache folder.

    Args:
        lm: the model.
        progress: show bars.

    Returns:
        Sliders named `safety` and `helpfulness`.

    Raises:
        SteeringError: where it can't be made or kept.
    """
    return pair_at_hand(lm) or make_pair(lm, progress=progress)


def pair_at_hand(lm: LanguageModel) -> dict[str, Slider]:
    """The balanced pair that need not be made: shipped, or in the cache folder. Empty where there is none.

    Args:
        lm: the model that it has to fit.
    """
    for folder in sorted(SHIPPED.glob("*")):
        if pair := _load(folder, lm):
            return pair
    return _load(pair_folder(lm), lm)


def make_pair(lm: LanguageModel, *, progress: bool = True) -> dict[str, Slider]:
    """Make the balanced pair and keep it in the cache folder.

    Args:
        lm: the model.
        progress: show bars.

    Returns:
        Sliders named `safety` and `helpfulness`.

    Raises:
        SteeringError: where it can't be made or kept.
    """
    folder = pair_folder(lm)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # before the long work
    except OSError as error:
        raise SteeringError(
            f"Can't keep the balanced pair in {str(folder)!r}: {error.strerror}; name another folder in TRIMTAB_CACHE."
        ) from error
    pair = balanced(lm, progress)
    for name, slider in pair.items():
        slider.save(folder / f"{name}.safetensors")
    return pair


def pair_folder(lm: LanguageModel) -> Path:
    """Where the pair made on a model is kept; its name tells apart all that it is made from.

    Args:
        lm: the model.
    """
    made_by = [version("trimtab"), FORMAT_VERSION, str(FORM), lm.identity.model_dump_json()]
    sets = [ContrastSet.builtin(name).fingerprint for name in ContrastSet.builtin_names()]
    return cache_folder() / "vectors" / f"balanced-{fingerprint(' '.join(made_by + sets).encode())}"


def _load(folder: Path, lm: LanguageModel) -> dict[str, Slider]:
    """Both sliders of a folder; none unless both are whole and of this model: the making may have been interrupted."""
    try:
        return {name: Slider.load(folder / f"{name}.safetensors", lm) for name in AXES}
    except SteeringError:
        return {}
