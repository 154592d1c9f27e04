"""A folder for the Hugging Face Hub: vectors, what they are, and a card that says so to people.

`AXIS.safetensors` for each axis, `config.json` (see `HubConfig`) and `README.md`. Upload it with `hf upload YOU/NAME
FOLDER`; `SteeringVector.from_pretrained` reads the folder or the repository.

Reading: Vectors from a folder that `steering.formats.hub` wrote, or from such a repository on the Hugging Face Hub.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from steering.errors import SteeringError, quoted
from steering.formats.card import card
from steering.formats.model_folder import new_folder
from steering.models.identity import ModelIdentity, mismatches
from steering.vectors.file_format import read_vector
from steering.vectors.steering_vector import SteeringVector

CONFIG = "config.json"


class HubConfig(BaseModel):
    """What `config.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    library_name: Literal["trimtab"] = "trimtab"
    format_version: Literal["1"] = "1"
    axes: tuple[str, ...]
    """Names of the axes; the vector of each is in `NAME.safetensors`."""
    model: ModelIdentity | None
    """The model that the vectors were made on, where they say it."""


def vector_file(axis: str) -> str:
    """Name of an axis's file in the folder."""
    return f"{axis}.safetensors"


def to_hub_folder(
    axes: Mapping[str, SteeringVector],
    path: str | Path,
    *,
    licence: str = "apache-2.0",
    base_model: str | None = None,
    measured: str = "",
    citation: str = "",
) -> None:
    """Write the folder, whole or not at all; vectors with gates, companions or any intervention are fine.

    Args:
        axes: vectors by axis name, all of one model.
        licence: the Hub's identifier of the licence that you give the vectors under.
        base_model: Hub id of the model, for the card; the vectors' own where they were made on a Hub model.
        measured: Markdown on what was measured, such as a cross-effect matrix; the card says so when there is none.
        citation: BibTeX or text of what to cite besides Trimtab and the methods.

    Raises SteeringError for names that can't be a Python argument, and for vectors of several models.
    """
    if not axes or any(not name.isidentifier() for name in axes):
        raise SteeringError(f"Expected axes with names such as 'safety', found {quoted(axes)}; rename them.")
    known = [vector.origin.model for vector in axes.values() if vector.origin]
    for other in known[1:]:
        if found := mismatches(known[0], other):
            raise SteeringError(f"Expected vectors of one model: {'; '.join(found.values())}.")
    model = known[0] if known else None
    if base_model is None and model is not None and model.revision is not None:
        base_model = model.name
    with new_folder(path) as folder:
        for name, vector in axes.items():
            vector.save(folder / vector_file(name))
        config = HubConfig(axes=tuple(axes), model=model)
        (folder / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        text = card(axes, licence=licence, base_model=base_model, measured=measured, citation=citation)
        (folder / "README.md").write_text(text, encoding="utf-8")


def axes_from_pretrained(source: str | Path, revision: str | None = None) -> dict[str, SteeringVector]:
    """All vectors of a folder or Hub repository by axis, for `Sliders(**axes)`.

    Only a name that is no local folder and looks like a Hub id, `you/name`, reaches the network. `revision` is a
    branch, tag or commit there. Raises SteeringError when there is nothing of the kind.
    """
    return {axis: read_vector(_file(source, vector_file(axis), revision)) for axis in _config(source, revision).axes}


def vector_from_pretrained(source: str | Path, axis: str | None = None, revision: str | None = None) -> SteeringVector:
    """One of them; the only one where no axis is named."""
    axes = _config(source, revision).axes
    if axis is None and len(axes) > 1:
        raise SteeringError(f"{str(source)!r} has the axes {quoted(axes)}; name one, such as axis={axes[0]!r}.")
    if axis is not None and axis not in axes:
        raise SteeringError(f"There is no axis {axis!r} in {str(source)!r}; it has {quoted(axes)}.")
    return read_vector(_file(source, vector_file(axis or axes[0]), revision))


def _config(source: str | Path, revision: str | None) -> HubConfig:
    try:
        config = HubConfig.model_validate_json(_file(source, CONFIG, revision).read_bytes())
    except ValidationError as error:
        raise SteeringError(
            f"Expected Trimtab vectors in {str(source)!r}, found a {CONFIG} of something else "
            f"({error.error_count()} entries differ); check the name."
        ) from error
    if not config.axes or any(not name.isidentifier() for name in config.axes):  # no name may lead out of the folder
        raise SteeringError(
            f"Expected axes with names such as 'safety' in {str(source)!r}, found {quoted(config.axes)}."
        )
    return config


def _file(source: str | Path, name: str, revision: str | None) -> Path:
    folder = Path(source).expanduser()
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
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise SteeringError(f"Can't get {name!r} of {text!r} from the Hub (no such local folder): {reason}.") from error
