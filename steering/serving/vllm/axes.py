"""The sliders of one server: named vectors, where each acts, and the columns that their parts take in the buffers."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from steering.errors import SteeringError, quoted
from steering.models.token_positions import token_choice
from steering.vectors.file_format import read_vector
from steering.vectors.steering_vector import SteeringVector

VARIABLE = "TRIMTAB_VLLM"
"""Environment variable with the options as JSON, for where `--additional-config '{"trimtab": …}'` is in the way."""
SPARE = 4
"""Columns that are kept for axes registered live, unless the option `spare` says otherwise."""
AFTER_THE_PROMPT = ("answer", "last_prompt_token", "generated")
"""Scopes whose tokens all come when a gate has read the prompt, however it was split into chunks."""
WHATEVER_THE_PROMPT = ("all", "from_token")
"""Scopes that act on a token by its place alone, not by where the prompt ends."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One slider: its vector, and what tells its content from any other's."""

    name: str
    vector: SteeringVector
    digest: str

    @property
    def depends_on_prompt_length(self) -> bool:
        """Whether the same token is moved or not by where the prompt ends."""
        return any(part.scope.partition(":")[0] not in WHATEVER_THE_PROMPT for part in self.vector.parts)

    @property
    def gate_tokens(self) -> int:
        """How many tokens from its end a prompt is read; 0 without a gate."""
        return max((max(part.gate.tokens) for part in self.vector.parts if part.gate), default=0)


@dataclass(frozen=True, eq=False)
class Column:
    """One part of an axis, and its place in the coefficients' buffer."""

    axis: str
    part: SteeringVector

    @property
    def is_addition(self) -> bool:
        """Whether it adds its direction, gated or not: all that a row of the bank can say."""
        return self.part.intervention == "add"


@dataclass
class Axes:
    """What a server was told to load; the front end and every worker read the same."""

    n_layers: int
    d_model: int
    model_type: str
    spare: int = SPARE
    folder: Path | None = None
    """Where vectors may be registered from over HTTP."""
    by_name: dict[str, Axis] = field(default_factory=dict)
    columns: list[Column] = field(default_factory=list)

    @staticmethod
    def configured(vllm_config: Any) -> "Axes | None":
        """The axes that the server's options name; None where Trimtab isn't spoken of.

        Raises SteeringError for options or vectors that can't be used.
        """
        options = _options(vllm_config)
        if options is None:
            return None
        if unknown := set(options) - {"vectors", "spare", "folder"}:
            raise SteeringError(
                f"There is no option {quoted(unknown)} for Trimtab in vLLM; choose from 'vectors', 'spare', 'folder'."
            )
        config = vllm_config.model_config.hf_text_config
        axes = Axes(config.num_hidden_layers, config.hidden_size, config.model_type)
        axes.folder = Path(options["folder"]) if options.get("folder") else None
        vectors, spare = options.get("vectors", {}), options.get("spare", SPARE)
        if not isinstance(vectors, Mapping) or not isinstance(spare, int) or spare < 0:
            raise SteeringError(
                'Expected Trimtab\'s options as {"vectors": {axis: file}, "spare": number}, '
                f"found vectors {vectors!r} and spare {spare!r}."
            )
        for name, source in vectors.items():
            source = {"file": source} if isinstance(source, str) else source
            if not isinstance(source, Mapping) or "file" not in source or set(source) - {"file", "scope"}:
                raise SteeringError(
                    f'Expected a file for axis {name!r}, or {{"file": …, "scope": …}}, found {source!r}.'
                )
            axes.add(axes.read(name, source["file"], source.get("scope")))
        axes.spare = spare
        return axes

    def read(self, name: str, path: str | Path, scope: str | None = None) -> Axis:
        """Read and check a vector's file, changing nothing. Raises SteeringError when it can't serve here."""
        vector = read_vector(path)
        if scope is not None:
            token_choice(scope)
            parts = [replace(part, scope=scope, companions=()) for part in vector.parts]
            vector = replace(parts[0], companions=tuple(parts[1:]))
        self._check(name, vector)
        content = hashlib.sha256(Path(path).read_bytes() + f"|{scope}".encode()).hexdigest()
        return Axis(name, vector, content)

    def add(self, axis: Axis) -> list[tuple[int, Column]]:
        """Take the axis up; its new columns. Adding the same content again changes nothing.

        Raises SteeringError for a name that stands for other content: requests under way would change their vector.
        """
        known = self.by_name.get(axis.name)
        if known is not None:
            if known.digest == axis.digest:
                return []
            raise SteeringError(
                f"The axis {axis.name!r} is already another vector; register the new one under another name."
            )
        self.by_name[axis.name] = axis
        first = len(self.columns)
        self.columns += [Column(axis.name, part) for part in axis.vector.parts]
        return list(enumerate(self.columns))[first:]

    def check_live(self, axis: Axis) -> None:
        """Raise SteeringError unless the axis can be added to compiled blocks: plain additions, in spare columns."""
        parts = axis.vector.parts
        if any(not part.is_plain for part in parts):
            raise SteeringError(
                f"The axis {axis.name!r} does more than add, which is built into the blocks at start; "
                "name it in the server's options."
            )
        if axis.name not in self.by_name and len(parts) > self.spare:
            raise SteeringError(
                f"The axis {axis.name!r} needs {len(parts)} columns, {self.spare} are left; start the server with a "
                "larger 'spare'."
            )

    def _check(self, name: str, vector: SteeringVector) -> None:
        highest = max(max(part.layers) for part in vector.parts)
        if vector.d_model != self.d_model or highest >= self.n_layers:
            raise SteeringError(
                f"The vector of axis {name!r} has width {vector.d_model} and layers up to {highest}, the model has "
                f"width {self.d_model} and {self.n_layers} layers; use the model it was made on."
            )
        if vector.origin and vector.origin.model.model_type != self.model_type:
            raise SteeringError(
                f"The vector of axis {name!r} was made on a {vector.origin.model.model_type!r} model "
                f"({vector.origin.model.name!r}), this one is {self.model_type!r}; use the model it was made on."
            )
        for part in vector.parts:
            if part.site != "block":
                raise SteeringError(f"The vector of axis {name!r} moves attentions; in vLLM only blocks can be moved.")
            if part.gate and part.scope not in AFTER_THE_PROMPT:
                raise SteeringError(
                    f"The vector of axis {name!r} has a gate and scope {part.scope!r}: vLLM passes prompts in chunks, "
                    f"before its end is read; choose a scope out of {quoted(AFTER_THE_PROMPT)}."
                )


def _options(vllm_config: Any) -> Mapping[str, Any] | None:
    """What the server was told about Trimtab, by its configuration or else by the environment."""
    additional = vllm_config.additional_config
    if isinstance(additional, dict) and "trimtab" in additional:
        options = additional["trimtab"]
    elif VARIABLE in os.environ:
        try:
            options = json.loads(os.environ[VARIABLE])
        except json.JSONDecodeError as error:
            raise SteeringError(f"Expected JSON in the environment variable {VARIABLE}: {error}.") from error
    else:
        return None
    if not isinstance(options, Mapping):
        raise SteeringError(f'Expected Trimtab\'s options as {{"vectors": {{axis: file}}}}, found {options!r}.')
    return options
