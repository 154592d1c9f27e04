"""What one request, and all of them together, may ask of the machine."""

from dataclasses import dataclass
from typing import Annotated

from typer import Option

import steering


@dataclass(frozen=True)
class Limits:
    """Upper bounds, the options of `trimtab serve`; what goes beyond them is refused with a sentence, never cut."""

    new_tokens: Annotated[int, Option("--max-new-tokens", min=1, help="Length of an answer at most, in tokens.")] = 1024
    prompt_tokens: Annotated[int, Option("--max-prompt-tokens", min=1, help="Length of a chat, in tokens.")] = 4096
    rows: Annotated[int, Option("--max-rows", min=1, help="Answers written at once.")] = 64
    batch_tokens: Annotated[
        int | None,
        Option(
            "--max-batch-tokens",
            min=1,
            help="Bounds the memory. transformers: rows times the longest row, 65,536 by default; llama.cpp: all rows "
            "together, 16,384, whose memory is taken at the start.",
        ),
    ] = None
    waiting: Annotated[int, Option("--max-waiting", min=1, help="Requests that may wait for a row.")] = 256
    body_bytes: Annotated[int, Option("--max-body-bytes", min=1, help="Size of a request at most.")] = 1_000_000
    slider: float = 100.0
    """A slider's distance from 0; no option."""


def context_length(lm: "steering.LanguageModel") -> int | None:
    """Number of tokens that the model was made for; None where it doesn't say."""
    return getattr(lm.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
