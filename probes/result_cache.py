"""Finished pieces of a long run, kept as files: a run that was killed goes on from the last one."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from steering.atomic_write import atomic_write, make_folder
from steering.models.language_model import LanguageModel

Result = TypeVar("Result", bound=BaseModel)


@dataclass(frozen=True)
class ResultCache:
    """A folder of finished results; without one nothing is kept."""

    folder: Path | None = None

    def get(
        self,
        key: Sequence[object],
        kind: type[Result],
        compute: Callable[[], Result],
        fits: Callable[[Result], bool] = lambda _: True,
    ) -> Result:
        """The result of this key, computed and written (whole or not at all) unless it is there already.

        The key is all that decides the result, as JSON can write it. Results of different kinds never meet. A file that
        holds no result of the kind, or one that doesn't fit, is damaged: the result is computed anew.
        """
        file = self._file(key, kind)
        if file is None:
            return compute()
        if file.is_file():
            with suppress(ValidationError, UnicodeDecodeError):
                result = kind.model_validate_json(file.read_text(encoding="utf-8"))
                if fits(result):
                    return result
        result = compute()
        make_folder(file.parent)
        with atomic_write(file) as temporary:
            temporary.write_text(result.model_dump_json(), encoding="utf-8")
        return result

    def has(self, key: Sequence[object], kind: type[BaseModel]) -> bool:
        """Whether a result of this key is there already."""
        file = self._file(key, kind)
        return file is not None and file.is_file()

    def _file(self, key: Sequence[object], kind: type[BaseModel]) -> Path | None:
        if self.folder is None:
            return None
        digest = hashlib.sha256(json.dumps([kind.__name__, *key], sort_keys=True).encode()).hexdigest()
        return self.folder / f"{digest[:24]}.json"


def model_key(lm: LanguageModel) -> dict[str, Any]:
    """What stands for a model, as it runs here, in the keys of its results."""
    generation = lm.model.generation_config
    run_as = {
        "class": type(lm.model).__name__,
        "dtype": str(lm.model.dtype),
        "generation": generation.to_dict() if generation else {},
        "trimtab": version("trimtab"),
    }
    return lm.identity.model_dump(mode="json") | {"run_as": run_as}
