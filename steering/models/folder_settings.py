"""What a model's folder says beside its weights, checked when it is loaded: numbers where numbers belong, in bounds.

transformers takes much of it as it comes, and fails where it is used, or builds a million layers.
"""

import re
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from steering.data.chats import first_problem
from steering.errors import SteeringError

MAX_COUNT = 4096
"""Of layers, or experts in a layer: several times what the largest open models have."""
_COUNTS = re.compile(r"(layers?|experts|depth)$")
_TokenId = Annotated[int, Field(ge=-1, lt=1 << 31)]
"""-1 stands for none in some."""
_KnownId = Annotated[int, Field(ge=0, lt=1 << 31)]
_Tokens = _TokenId | list[_TokenId] | None
_Count = _KnownId | None
_Size = Annotated[float, Field(gt=0)] | None
_Share = Annotated[float, Field(ge=0, le=1)] | None


class _Generation(BaseModel, extra="allow", strict=True, allow_inf_nan=False):
    """The fields of generation_config.json that decide how a decoder-only model writes."""

    bos_token_id: _Tokens = None
    eos_token_id: _Tokens = None
    pad_token_id: _Tokens = None
    decoder_start_token_id: _Tokens = None
    forced_bos_token_id: _KnownId | list[_KnownId] | None = None
    forced_eos_token_id: _KnownId | list[_KnownId] | None = None
    suppress_tokens: list[_KnownId] | None = None
    begin_suppress_tokens: list[_KnownId] | None = None
    bad_words_ids: Annotated[list[list[_KnownId]], Field(min_length=1)] | None = None
    sequence_bias: Annotated[list[tuple[list[_KnownId], float]], Field(min_length=1)] | None = None
    stop_strings: str | list[str] | None = None
    max_length: _Count = None
    max_new_tokens: _Count = None
    min_length: _Count = None
    min_new_tokens: _Count = None
    no_repeat_ngram_size: _Count = None
    top_k: _Count = None
    num_beams: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = None
    num_return_sequences: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    repetition_penalty: _Size = None
    length_penalty: float | None = None
    max_time: _Size = None
    guidance_scale: float | None = None
    top_p: _Share = None
    min_p: _Share = None
    typical_p: _Share = None
    epsilon_cutoff: _Share = None
    eta_cutoff: _Share = None
    do_sample: bool | None = None
    use_cache: bool | None = None
    renormalize_logits: bool | None = None
    remove_invalid_values: bool | None = None
    return_dict_in_generate: bool | None = None
    output_attentions: bool | None = None
    output_hidden_states: bool | None = None
    output_scores: bool | None = None
    output_logits: bool | None = None
    cache_implementation: str | None = None


def check_counts(config: PretrainedConfig, name: str) -> None:
    """Raise SteeringError for more layers or experts than `MAX_COUNT`.

    Args:
        config: of a model that isn't built yet.
        name: of the model, as the user gave it.
    """
    for field, value in _fields(config.to_dict()):
        if _COUNTS.search(field) and isinstance(value, int) and value > MAX_COUNT:
            raise SteeringError(
                f"Expected at most {MAX_COUNT} as {field!r} in the config.json of {name!r}, found {str(value)[:20]}; "
                "correct the file."
            )


def _fields(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for field, value in content.items():
        yield str(field), value
        if isinstance(value, Mapping):
            yield from _fields(value)


def check_generation(file: Path) -> None:
    """Raise SteeringError for settings that transformers would stumble over while it reads them or writes.

    Args:
        file: a model's generation_config.json.
    """
    try:
        _Generation.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise SteeringError(
            f"Expected settings that can be used in {str(file)!r}, found {first_problem(error)}; correct the file."
        ) from error


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Raise SteeringError for a length that texts can't be compared with.

    Args:
        tokenizer: as transformers read it.
        name: of the model, as the user gave it.
    """
    length = tokenizer.model_max_length
    if not isinstance(length, Real) or isinstance(length, bool) or length < 1:
        raise SteeringError(
            f"Expected a number of tokens as 'model_max_length' in the tokenizer_config.json of {name!r}, found "
            f"{length!r:.40}; correct the file."
        )
