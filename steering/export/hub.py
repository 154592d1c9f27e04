"""A folder for the Hugging Face Hub: vectors, what they are, and a card that says so to people.

`AXIS.safetensors` for each axis, `config.json` (see `HubConfig`) and `README.md`. Upload it with `hf upload YOU/NAME
FOLDER`; `SteeringVector.from_pretrained` reads the folder or the repository.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from steering.errors import SteeringError, quoted
from steering.export.card import card
from steering.export.model_folder import new_folder
from steering.identity import ModelIdentity, mismatches
from steering.vector import SteeringVector

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
