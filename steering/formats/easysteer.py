"""EasySteer: a steering spec as JSON, for its `--steering-config` or a request's field `steering`.

Source: `docs/user-guide/openai-server.md` of EasySteer.
"""

import json
from pathlib import Path

from steering.atomic_write import atomic_write
from steering.errors import SteeringError
from steering.formats.control_vector import to_gguf
from steering.formats.fixed_sliders import Exportable, file_additions


def to_easysteer(exportable: Exportable, path: str | Path) -> None:
    """Write the spec to `path` and the control vector that it names beside it, under the same name with `.gguf`.

    The spec names the GGUF file as `path` does: start the server where that leads to it. Raises SteeringError for what
    a GGUF control vector can't say.
    """
    path = Path(path)
    if path.suffix != ".json":
        raise SteeringError(f"Expected a .json file for EasySteer's spec, found {str(path)!r}; name it so.")
    source = path.with_suffix(".gguf")
    vector = {
        "source": str(source),
        "algorithm": "direct",
        "scale": 1.0,
        "layers": list(file_additions(exportable, "EasySteer")),
        "apply": {"prompt": "all", "generation": "all"},
    }
    spec = {"vectors": [vector], "conflict": "priority"}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(spec, indent=2) + "\n")
        to_gguf(exportable, source)
