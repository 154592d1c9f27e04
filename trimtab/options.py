"""Options that several commands share, in groups: a command takes `model: ModelOptions`, and gets a model of it."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Literal, get_origin

from rich.console import Console
from typer import Option

import steering
from steering.errors import SteeringError
from steering.json_reading import parse_json
from trimtab.builtin_sliders import BUILTIN_AXES, balanced_axes, builtin_axis, check_choice
from trimtab.terminal import Terminal

console = Terminal(markup=False, highlight=False)

DEFAULT_MODEL = "smollm2-135m-instruct"
Model = Annotated[str, Option("--model", "-m", help="Packaged name, local folder, .gguf file or Hub id.")]
Tokens = Annotated[
    str | None,
    Option(
        help="Tokens to move: all, prompt, generated, answer, answer:K, thought, last_prompt_token, from_token:K; "
        "else the sliders' own."
    ),
]
AllowMismatch = Annotated[
    list[str] | None,
    Option(
        help="Difference to accept of vector and model: config, weights, quantization, adapters, chat_template, "
        "template or system_prompt."
    ),
]
Sets = Annotated[
    list[str] | None,
    Option("--set", help="ROLE=FILE.jsonl, repeatable: your own pairs as safety, safety-response, … of a recipe."),
]
Json = Annotated[bool, Option("--json", help="Print JSON for programs.")]
MaxNewTokens = Annotated[int, Option(min=1, help="Length of an answer at most, in tokens.")]


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and how it is loaded."""

    model: Model = DEFAULT_MODEL
    dtype: Annotated[str | None, Option(help="Such as bfloat16; the checkpoint's own by default.")] = None
    device_map: Annotated[str | None, Option(help="Such as auto or cuda; passed to transformers.")] = None
    revision: Annotated[str | None, Option(help="Branch, tag or commit of a Hub id.")] = None
    system_prompt: Annotated[str | None, Option(help="Put in front of every chat, and recorded in vectors.")] = None
    template: Annotated[
        list[str] | None,
        Option(help="NAME=VALUE, repeatable: an argument of the chat template, such as enable_thinking=false."),
    ] = None
    blocks: Annotated[str | None, Option(help="Dotted path of the decoder blocks, where they can't be found.")] = None
    engine: Annotated[
        Literal["transformers", "llama.cpp"],
        Option(help="What runs the model: transformers, or llama.cpp for .gguf files as they are."),
    ] = "transformers"

    def load(self) -> "steering.LanguageModel":
        """Load the model under a spinner of our own, without the library's bars and advice."""
        from transformers.utils import logging

        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        with Console(stderr=True).status("loading the model"):
            options = asdict(self) | {"template": template_arguments(self.template or ())}
            return steering.load(options.pop("model"), **options)


def template_arguments(entries: Iterable[str]) -> dict[str, Any]:
    """Entries of NAME=VALUE as arguments of a chat template: values that are JSON as such, others as text."""
    arguments = {}
    for entry in entries:
        name, separator, value = entry.partition("=")
        if not separator or not name.isidentifier():
            raise SteeringError(f"Expected NAME=VALUE, such as enable_thinking=false, found {entry!r}.")
        try:
            arguments[name] = parse_json(value, repr(entry))
        except SteeringError:
            arguments[name] = value
    return arguments


@dataclass(frozen=True)
class VectorOptions:
    """The files of a command's sliders, and what they may differ in from the model."""

    vectors: Annotated[
        list[str] | None,
        Option(
            "--vector",
            "-v",
            help="NAME=FILE, repeatable. Without it: the balanced pair, made on first use where none is shipped. "
            "FILE may be plain (safety=plain: the built-in set's plain vector) or balanced.",
        ),
    ] = None
    allow_mismatch: AllowMismatch = None

    def sliders(self, lm: "steering.LanguageModel") -> "steering.Sliders":
        """The sliders, checked against the model; without entries, the balanced pair."""
        axes = {} if self.vectors else balanced_axes(lm)
        for entry in self.vectors or ():
            name, separator, file = entry.partition("=")
            if not separator or not name.isidentifier():
                raise SteeringError(f"Expected NAME=FILE, such as safety=safety.safetensors, found {entry!r}.")
            axes[name] = self._slider(lm, name, file)
        return steering.Sliders(**axes)

    def _slider(self, lm: "steering.LanguageModel", name: str, file: str) -> "steering.Slider":
        """The slider of one entry: from its file, or of the kind that stands in the file's place."""
        if file in ("plain", "balanced"):
            check_choice(f"{file} axis", name, BUILTIN_AXES)
            return builtin_axis(lm, name) if file == "plain" else balanced_axes(lm)[name]
        return steering.Slider.load(file, lm, self.allow_mismatch or ())


@dataclass(frozen=True)
class PairsOptions:
    """The contrast sets that give axes of one's own their scores."""

    pairs: Annotated[
        list[str] | None,
        Option(
            help="NAME=FILE.jsonl, repeatable: the contrast set that a slider of your own was extracted from, for the "
            "score that it is meant to raise."
        ),
    ] = None

    def contrast_sets(self) -> "dict[str, steering.ContrastSet]":
        """The named contrast sets by slider."""
        found = {}
        for entry in self.pairs or ():
            name, _, file = entry.partition("=")
            if not (name and file) or name in found:
                raise SteeringError(
                    f"Expected NAME=FILE.jsonl once for each slider, such as manners=manners.jsonl, found {entry!r}."
                )
            found[name] = read_contrast_set(file)
        return found


def read_contrast_set(name: str) -> "steering.ContrastSet":
    """A contrast set from a .jsonl file, or a built-in one."""
    return steering.ContrastSet.load(name) if name.endswith(".jsonl") else steering.ContrastSet.builtin(name)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer takes it: in place of each dataclass of options, its annotated fields as single options."""
    groups: dict[str, Any] = {}
    singles: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if is_dataclass(parameter.annotation):
            groups[name] = parameter.annotation
            singles += [
                Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
                for field in fields(parameter.annotation)
                if get_origin(field.type) is Annotated
            ]
        else:
            singles.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**given: Any) -> None:
        for name, group in groups.items():
            own = {field.name: given.pop(field.name) for field in fields(group) if field.name in given}
            given[name] = group(**own)
        command(**given)

    run.__signature__ = Signature(singles)  # type: ignore[attr-defined]
    return run
