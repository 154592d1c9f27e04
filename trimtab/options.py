"""Options that several commands share, and loading a model for them."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from steering import LanguageModel

console = Console()

DEFAULT_MODEL = "smollm2-135m-instruct"

Model = Annotated[
    str, typer.Option("--model", "-m", help="Packaged name, local folder, .gguf file or Hub id.", show_default=True)
]
Dtype = Annotated[str | None, typer.Option(help="Such as bfloat16; the checkpoint's own by default.")]
DeviceMap = Annotated[str | None, typer.Option(help="Such as auto or cuda; passed to transformers.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub id.")]
Blocks = Annotated[str | None, typer.Option(help="Dotted path of the decoder blocks, where they can't be found.")]
SystemPrompt = Annotated[str | None, typer.Option(help="Put in front of every chat, and recorded in vectors.")]
Vectors = Annotated[
    list[str] | None,
    typer.Option("--vector", "-v", help="NAME=FILE, repeatable. Without it: built-in safety and helpfulness."),
]
AllowMismatch = Annotated[
    list[str] | None,
    typer.Option(help="Difference to accept of vector and model: config, weights, chat_template or system_prompt."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="ROLE=FILE.jsonl, repeatable: your own pairs as safety, safety-response, … of a recipe."
    ),
]
Scope = Annotated[
    str | None,
    typer.Option(help="all, prompt, generated, answer, last_prompt_token from_token:K; the vectors' own by default."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Length of an answer at most, in tokens.")]


def load_model(
    model: str,
    dtype: str | None = None,
    device_map: str | None = None,
    revision: str | None = None,
    system_prompt: str | None = None,
    blocks: str | None = None,
) -> "LanguageModel":
    """Load under a spinner of our own, without the library's bars and advice."""
    from transformers.utils import logging

    from steering import load

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with Console(stderr=True).status("loading the model"):
        return load(
            model, dtype=dtype, device_map=device_map, revision=revision, system_prompt=system_prompt, blocks=blocks
        )
