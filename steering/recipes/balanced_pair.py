"""The balanced pair of a model: shipped with the package, kept from an earlier time, or made now and kept.

How it is made is `steering.recipes.balanced`'s business; where it is found, and for which model, is this one's.
"""

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

from pydantic_core import to_json
from typing_extensions import Unpack

from steering.atomic_write import check_folder, files_in
from steering.data.chats import ChatLike, as_chat
from steering.data.contrast import ContrastSet
from steering.errors import SteeringError
from steering.models.gguf import cache_folder, naming_cache
from steering.models.identity import fingerprint
from steering.models.language_model import LanguageModel
from steering.recipes.balanced import balanced
from steering.vectors.file_format import FORMAT_VERSION
from steering.vectors.slider import Slider

AXES = ("safety", "helpfulness")
FORM = 2
"""Raised when the recipe makes other sliders than before, so that those in cache folders are made anew."""
_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "shipped_vectors"
SHIPPED = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "vectors"
"""Pairs that come with the package, a folder a model: inside the installed package, or at the top of a clone."""


class Teaching(TypedDict, total=False):
    """What a user may teach the pair with: see `steering.recipes.balanced.balanced`."""

    harmful: Sequence[ChatLike]
    harmless: Sequence[ChatLike]
    false_alarms: float | None
    missed: float | None
    quick: bool


def balanced_pair(lm: LanguageModel, *, progress: bool = True, **taught: Unpack[Teaching]) -> dict[str, Slider]:
    """The balanced pair: one that is at hand, else made now, which takes minutes, and kept in the cache folder.

    Args:
        lm: the model.
        progress: show bars.
        taught: prompts and shares of the user's, as `steering.recipes.balanced.balanced` takes them.

    Returns:
        Sliders named `safety` and `helpfulness`.

    Raises:
        SteeringError: where it can't be made or kept.
    """
    return pair_at_hand(lm, **taught) or make_pair(lm, progress=progress, **taught)


def pair_at_hand(lm: LanguageModel, **taught: Unpack[Teaching]) -> dict[str, Slider]:
    """The balanced pair that need not be made: shipped, or in the cache folder. Empty where there is none.

    Args:
        lm: the model that it has to fit.
        taught: as `balanced_pair` takes them; the shipped pairs were taught by nobody's prompts.
    """
    for folder in sorted(SHIPPED.glob("*")) if not _given(taught) else ():
        if pair := _load(folder, lm):
            return pair
    return _load(pair_folder(lm, **taught), lm)


def make_pair(lm: LanguageModel, *, progress: bool = True, **taught: Unpack[Teaching]) -> dict[str, Slider]:
    """Make the balanced pair and keep it in the cache folder; where it can't be kept after all, a warning says so.

    Args:
        lm: the model.
        progress: show bars.
        taught: as `balanced_pair` takes them.

    Returns:
        Sliders named `safety` and `helpfulness`.

    Raises:
        SteeringError: where it can't be made, and before the work where it can't be kept.
    """
    folder = pair_folder(lm, **taught)
    with naming_cache():
        check_folder(folder)
    pair = balanced(lm, progress=progress, **taught)
    try:
        with naming_cache(), files_in(folder) as temporary:
            for name, slider in pair.items():
                slider.save(temporary / f"{name}.safetensors")
    except SteeringError as error:
        warnings.warn(f"The balanced pair is not kept for another time: {error}", stacklevel=2)
    return pair


def pair_folder(lm: LanguageModel, **taught: Unpack[Teaching]) -> Path:
    """Where the pair made on a model is kept; its name tells apart all that it is made from.

    Args:
        lm: the model.
        taught: as `balanced_pair` takes them.
    """
    made_by = [version("trimtab"), FORMAT_VERSION, str(FORM), lm.identity.key]
    if own := _given(taught):
        made_by.append(to_json(own).decode())
    sets = [ContrastSet.builtin(name).fingerprint for name in ContrastSet.builtin_names()]
    return cache_folder() / "vectors" / f"balanced-{fingerprint(' '.join(made_by + sets).encode())}"


def _given(taught: Teaching) -> dict[str, object]:
    """What was taught indeed, prompts as chats."""
    shares = {name: taught.get(name) for name in ("false_alarms", "missed")}
    own: dict[str, object] = {name: value for name, value in shares.items() if value is not None}
    own |= {"quick": True} if taught.get("quick") else {}
    prompts = {"harmful": taught.get("harmful", ()), "harmless": taught.get("harmless", ())}
    own |= {name: [as_chat(prompt) for prompt in given] for name, given in prompts.items() if given}
    return own


def _load(folder: Path, lm: LanguageModel) -> dict[str, Slider]:
    """Both sliders of a folder; none unless both are whole and of this model: the making may have been interrupted."""
    try:
        return {name: Slider.load(folder / f"{name}.safetensors", lm) for name in AXES}
    except SteeringError:
        return {}
