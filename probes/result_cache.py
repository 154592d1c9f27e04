"""Finished pieces of a long run, kept as files: a run that was killed goes on from the last one."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from steering.atomic_write import atomic_write, make_folder

Result = TypeVar("Result", bound=BaseModel)


@dataclass(frozen=True)
class ResultCache:
    """A folder of finished results; without one nothing is kept."""

    folder: Path | None = None

    def get(
        self, key: Sequence[object], kind: type[Result], fits: Callable[[Result], bool], compute: Callable[[], Result]
    ) -> Result:
        """The result of this key, computed and written (whole or not at all) unless it is there already.

        The key is all that decides the result, as JSON can write it. Results of different kinds never meet. A file that
        holds no result of the kind, or one that doesn't fit, is damaged: the result is computed anew.
        """
        if self.folder is None:
            return compute()
        digest = hashlib.sha256(json.dumps([kind.__name__, *key], sort_keys=True).encode()).hexdigest()
        file = self.folder / f"{digest[:24]}.json"
        if file.is_file():
            with suppress(ValidationError, UnicodeDecodeError):
                result = kind.model_validate_json(file.read_text(encoding="utf-8"))
                if fits(result):
                    return result
        result = compute()
        make_folder(self.folder)
        with atomic_write(file) as temporary:
            temporary.write_text(result.model_dump_json(), encoding="utf-8")
        return result
