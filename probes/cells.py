"""Finished pieces of a long run, kept as files: a run that was killed goes on from the last one."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from steering.files import atomic_write

Cell = TypeVar("Cell", bound=BaseModel)


@dataclass(frozen=True)
class Cells:
    """A folder of finished cells; without one nothing is kept."""

    folder: Path | None = None

    def get(self, key: Sequence[object], kind: type[Cell], compute: Callable[[], Cell]) -> Cell:
        """The cell of this key, computed and written (whole or not at all) unless it is there already.

        Args:
            key: all that decides the result, as JSON can write it.
        """
        if self.folder is None:
            return compute()
        digest = hashlib.sha256(json.dumps([kind.__name__, *key], sort_keys=True).encode()).hexdigest()
        file = self.folder / f"{digest[:24]}.json"
        if file.is_file():
            try:
                return kind.model_validate_json(file.read_text(encoding="utf-8"))
            except (ValidationError, UnicodeDecodeError):
                pass  # damaged on the disk: computed anew
        cell = compute()
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            temporary.write_text(cell.model_dump_json(), encoding="utf-8")
        return cell
