"""A folder for the Hugging Face Hub: sliders, what they are, and a card that says so to people.

`AXIS.safetensors` for each axis, `config.json` (see `HubConfig`) and `README.md`. Upload it with `hf upload YOU/NAME
FOLDER`; `Sliders.from_pretrained` reads the folder or the repository.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from steering.atomic_write import new_folder
from steering.errors import SteeringError, first_line, quoted
from steering.formats.card import card
from steering.formats.fixed_sliders import common_model
from steering.models.identity import ModelIdentity
from steering.vectors.slider import Slider, as_slider
from steering.vectors.steering_vector import SteeringVector

CONFIG = "config.json"


class HubConfig(BaseModel, frozen=True, extra="forbid"):
    """What `config.json` holds."""

    library_name: Literal["trimtab"] = "trimtab"
    format_version: Literal["1"] = "1"
    axes: tuple[str, ...]
    """Names of the axes; the slider of each is in `NAME.safetensors`."""
    model: ModelIdentity | None
    """The model that they were made on, where they say it."""


def to_hub_folder(
    sliders: Mapping[str, Slider | SteeringVector],
    path: str | Path,
    *,
    license: str = "apache-2.0",
    base_model: str | None = None,
    measured: str = "",
    citation: str = "",
) -> None:
    """Write the folder, whole or not at all; sliders with gates, several pushes or any intervention are fine.

    Args:
        sliders: by axis name, all of one model.
        path: the folder, new or empty.
        license: the Hub's identifier of the license that you give them under.
        base_model: Hub id of the model, for the card; the vectors' own where they were made on a Hub model.
        measured: Markdown on what was measured, such as a cross-effect matrix; the card says so when there is none.
        citation: BibTeX or text of what to cite besides Trimtab and the methods.

    Raises:
        SteeringError: for names that can't be a Python argument, and for vectors of several models.
    """
    _check_names(sliders, path)
    written = {name: as_slider(slider) for name, slider in sliders.items()}
    model = common_model(written.values())
    if base_model is None and model is not None and model.revision is not None:
        base_model = model.name
    summaries = {name: slider.summary() for name, slider in written.items()}
    text = card(summaries, license=license, base_model=base_model, measured=measured, citation=citation)
    config = HubConfig(axes=tuple(written), model=model).model_dump_json(indent=2)
    with new_folder(path) as folder:
        for name, slider in written.items():
            slider.save(folder / f"{name}.safetensors")
        (folder / CONFIG).write_text(f"{config}\n", encoding="utf-8")
        (folder / "README.md").write_text(text, encoding="utf-8")


def sliders_from_pretrained(source: str | Path, revision: str | None = None) -> dict[str, Slider]:
    """All sliders of a folder or Hub repository by axis: see `Sliders.from_pretrained`."""
    try:
        config = HubConfig.model_validate_json(_file(source, CONFIG, revision).read_bytes())
    except ValidationError as error:
        raise SteeringError(
            f"Expected Trimtab vectors in {str(source)!r}, found a {CONFIG} of something else "
            f"({error.error_count()} entries differ); check the name."
        ) from error
    _check_names(config.axes, source)
    return {axis: Slider.load(_file(source, f"{axis}.safetensors", revision)) for axis in config.axes}


def _check_names(axes: Collection[str], folder: str | Path) -> None:
    """No name may lead out of the folder, and each has to do as a keyword argument."""
    if not axes or not all(map(str.isidentifier, axes)):
        raise SteeringError(
            f"Expected axes with names such as 'safety', found {quoted(axes)} for {str(folder)!r}; rename them."
        )


def _file(source: str | Path, name: str, revision: str | None) -> Path:
    folder = Path(os.path.expanduser(source))
    if folder.is_dir():
        if not (folder / name).is_file():
            raise SteeringError(f"Expected {name!r} in the folder {str(folder)!r}, found none; export it again.")
        return folder / name
    text = str(source)
    if folder.is_absolute() or text.startswith((".", "~")) or text.count("/") != 1:
        raise SteeringError(f"There is no folder {text!r}, nor is it a Hub id such as 'you/name'; check the path.")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(text, name, revision=revision))
    except Exception as error:  # the Hub's client raises whatever the network and the server make it raise
        raise SteeringError(
            f"Can't get {name!r} of {text!r} from the Hub (no such local folder): {first_line(error)}."
        ) from error
