"""Vectors from a folder that `steering.export.hub` wrote, or from such a repository on the Hugging Face Hub."""

from pathlib import Path

from pydantic import ValidationError

from steering.errors import SteeringError, quoted
from steering.export.hub import CONFIG, HubConfig, vector_file
from steering.vector import SteeringVector
from steering.vector_file import read_vector


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
