"""What of `Llama`'s options and its file matters to sliders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from steering.errors import SteeringError
from steering.hooks.seen_tokens import AnswerStart
from steering.models.gguf import converted_folder
from steering.models.llama_cpp.bindings import package
from steering.models.reasoning import marks_of
from steering.models.response_tokens import ResponseTokens, known_marks

_REFUSED = {
    "embedding": "embeddings come from passes of many sequences",
    "draft_model": "drafts are tokens that no answer may hold",
    "pooling_type": "pooled states are of whole texts",
    "lora_path": "an adapter makes another model of the one that the vectors were made on; merge it into the file",
    "vocab_only": "a vocabulary has no blocks",
}
"""Options that must stand as they are when not given, and why."""
_N_BATCH = 512
"""`Llama`'s own default."""


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, with batches that run as one graph.

    Raises:
        SteeringError: for one under which it couldn't be known what is moved.
    """
    llama_cpp = package()
    for name, reason in _REFUSED.items():
        if options.get(name) not in (None, False, llama_cpp.LLAMA_POOLING_TYPE_UNSPECIFIED):
            raise SteeringError(f"Expected no {name} beside sliders, found {options[name]!r}: {reason}; leave it out.")
    if isinstance(options.get("chat_handler"), llama_cpp.llama_chat_format.Llava15ChatHandler):
        raise SteeringError("Expected chats of text, found a chat_handler for images, which run past the sliders.")
    batch = options.get("n_batch", _N_BATCH)
    if options.get("n_ubatch", batch) != batch:
        raise SteeringError(
            f"Expected n_ubatch to be n_batch, {batch}, so that a batch's rows keep their order, found "
            f"{options['n_ubatch']!r}; leave it out."
        )
    return {**options, "n_batch": batch, "n_ubatch": batch}


def answer_start_of(file: Path) -> AnswerStart | None:
    """What tells the thought from the answer in a GGUF file's model; None where its chat template knows no thoughts."""
    tokenizer = AutoTokenizer.from_pretrained(converted_folder(file, None), local_files_only=True)
    marks = marks_of("", str(tokenizer.chat_template or ""), known_marks(tokenizer))
    return ResponseTokens(tokenizer, marks).answer_start if marks else None
