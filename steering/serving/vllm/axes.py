"""The sliders of one server by name, and the columns that their pushes take in the buffers."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, NonNegativeInt, ValidationError

from steering.data.chats import first_problem
from steering.errors import SteeringError, quoted
from steering.models.reasoning import marks_of
from steering.models.token_positions import ANSWER_POSITIONS, needs_answer_start, spares_the_prompt
from steering.vectors.push import Push
from steering.vectors.slider import Slider, check_axis_names

VARIABLE = "TRIMTAB_VLLM"
"""Environment variable with the options as JSON, for where `--additional-config '{"trimtab": …}'` is in the way."""
WHATEVER_THE_PROMPT = ("all", "from_token")
"""Choices that take a token by its place alone, not by where the prompt ends."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One slider, and what tells its content from any other's."""

    name: str
    slider: Slider
    digest: str

    @property
    def depends_on_prompt_length(self) -> bool:
        """Whether the same token is moved or not by where the prompt ends."""
        return any(push.tokens.partition(":")[0] not in WHATEVER_THE_PROMPT for push in self.slider.pushes)

    def tokens_read(self, harm_is_given: bool) -> int:
        """How many tokens from its end a prompt is read; 0 where no gate has to."""
        gates = [push.gate for push in self.slider.pushes if push.gate]
        reading = [gate for gate in gates if not (harm_is_given and gate.reads_harm)]
        return max((max(gate.tokens) for gate in reading), default=0)


@dataclass(frozen=True, eq=False)
class Column:
    """One push of an axis, and its place in the coefficients' buffer."""

    axis: Axis
    push: Push

    @property
    def is_addition(self) -> bool:
        """Whether it adds its direction, gated or not: all that a row of the bank can say."""
        return self.push.intervention == "add"


class AxisFile(BaseModel, extra="forbid"):
    """A slider's or vector's file, and the tokens to move instead of its own."""

    file: Path
    tokens: str | None = None


class Options(BaseModel, extra="forbid"):
    """What a server may be told about Trimtab."""

    vectors: dict[str, str | AxisFile] = {}
    spare: NonNegativeInt = 4
    """Columns that are kept for axes registered live."""
    folder: str | None = None
    """Where vectors may be registered from over HTTP."""


@dataclass
class Axes:
    """What a server was told to load; the front end and every worker read the same."""

    n_layers: int
    d_model: int
    model_type: str
    spare: int = 0
    folder: Path | None = None
    thinks: Callable[[], bool] = bool
    """Whether the model may think; asked only where it matters, as that needs the tokenizer."""
    by_name: dict[str, Axis] = field(default_factory=dict)
    columns: list[Column] = field(default_factory=list)

    @staticmethod
    def configured(vllm_config: Any) -> "Axes | None":
        """The axes that the server's options name; None where Trimtab isn't spoken of.

        Raises SteeringError for options or vectors that can't be used.
        """
        options = _options(vllm_config.additional_config)
        if options is None:
            return None
        config = vllm_config.model_config.hf_text_config
        folder = Path(options.folder) if options.folder else None
        thinks = partial(_thinks, vllm_config.model_config)
        axes = Axes(config.num_hidden_layers, config.hidden_size, config.model_type, options.spare, folder, thinks)
        for name, source in options.vectors.items():
            named = AxisFile(file=Path(source)) if isinstance(source, str) else source
            axes.add(axes.read(name, named.file, named.tokens))
        return axes

    def read(self, name: str, path: str | Path, tokens: str | None = None) -> Axis:
        """Read and check a slider's or vector's file. Raises SteeringError when it can't serve here."""
        slider = Slider.load(path).on_tokens(tokens)
        self._check(name, slider)
        content = hashlib.sha256(Path(path).read_bytes() + f"|{tokens}".encode()).hexdigest()
        return Axis(name, slider, content)

    def add(self, axis: Axis) -> list[tuple[int, Column]]:
        """Take the axis up; its new columns and their numbers. Adding the same content again changes nothing."""
        if self._knows(axis):
            return []
        self.by_name[axis.name] = axis
        first = len(self.columns)
        self.columns += [Column(axis, push) for push in axis.slider.pushes]
        return list(enumerate(self.columns))[first:]

    def add_live(self, axis: Axis) -> list[tuple[int, Column]]:
        """The same while requests run, paid for with spare columns."""
        self.check_live(axis)
        added = self.add(axis)
        self.spare -= len(added)
        return added

    def check_live(self, axis: Axis) -> None:
        """Raise SteeringError unless the axis can be added to compiled blocks: plain additions, in spare columns."""
        pushes = axis.slider.pushes
        if not all(push.is_addition for push in pushes):
            raise SteeringError(
                f"The axis {axis.name!r} does more than add, which is built into the blocks at start; "
                "name it in the server's options."
            )
        if not self._knows(axis) and len(pushes) > self.spare:
            raise SteeringError(
                f"The axis {axis.name!r} needs {len(pushes)} columns, {self.spare} are left; start the server with a "
                "larger 'spare'."
            )

    def _knows(self, axis: Axis) -> bool:
        """Whether the axis is here. Raises SteeringError where its name is another's, which requests under way use."""
        known = self.by_name.get(axis.name)
        if known is not None and known.digest != axis.digest:
            raise SteeringError(
                f"The axis {axis.name!r} is already another vector; register the new one under another name."
            )
        return known is not None

    def _check(self, name: str, slider: Slider) -> None:
        check_axis_names([name])
        for push in slider.pushes:
            vector, highest = push.vector, push.vector.layers[-1]
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
            if push.hook_point != "resid_post":
                raise SteeringError(f"The slider of axis {name!r} moves attentions; in vLLM only blocks can be moved.")
            if push.tokens == "thought" or (needs_answer_start(push.tokens) and self.thinks()):
                raise SteeringError(
                    f"The slider of axis {name!r} moves the tokens {push.tokens!r}, and where the thought of a model "
                    "ends isn't followed in vLLM; name the axis with other tokens, such as 'generated'."
                )
            if push.gate and not spares_the_prompt(push.tokens):
                raise SteeringError(
                    f"The slider of axis {name!r} has a gate and moves the tokens {push.tokens!r}: vLLM passes prompts "
                    f"in chunks, before its end is read; choose tokens out of {quoted(ANSWER_POSITIONS)}."
                )


def _thinks(model_config: Any) -> bool:
    """Whether the model may think, by its tokenizer's chat template; one without tokenizer is known by tokens only."""
    from vllm.tokenizers import cached_tokenizer_from_config

    tokenizer: Any = cached_tokenizer_from_config(model_config)
    template = getattr(tokenizer, "chat_template", None)
    if not template:
        return False
    chat = [{"role": "user", "content": "Hi"}]
    prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return marks_of(prompt, str(template)) is not None


def _options(additional_config: Any) -> Options | None:
    """What the server was told about Trimtab, by its configuration or else by the environment."""
    where = "'trimtab' in additional_config"
    try:
        if isinstance(additional_config, dict) and "trimtab" in additional_config:
            return Options.model_validate(additional_config["trimtab"])
        where = f"JSON in the environment variable {VARIABLE}"
        return Options.model_validate_json(os.environ[VARIABLE]) if VARIABLE in os.environ else None
    except ValidationError as error:
        raise SteeringError(
            f'Expected Trimtab\'s options as {{"vectors": {{axis: file}}, "spare": number, "folder": path}}, as '
            f"{where}: {first_problem(error)}."
        ) from error
