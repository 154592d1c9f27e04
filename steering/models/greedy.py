"""The likeliest token at every step, whatever else the generation config in a model's folder says.

What a call of transformers' `generate` doesn't say comes from the model's `generation_config`: beams, penalties, tokens
never written, another cache. Answers here take from it which tokens end one, and whether keys and values are kept; the
rest is for the call to ask for, so that every model and every engine is measured alike.
"""

from collections.abc import Mapping
from typing import Any

from transformers import GenerationConfig, PreTrainedModel

from steering.errors import SteeringError, quoted

FROM_THE_FOLDER = ("eos_token_id", "pad_token_id", "bos_token_id", "use_cache")


def greedy_options(model: PreTrainedModel, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a call of the model's `generate` that is greedy unless the given ones say otherwise.

    Args:
        model: whose `generation_config` would fill in the others.
        options: the caller's; the fields of a `generation_config` among them are options like the rest.

    Returns:
        The options with a neutral value, transformers' own default, for each that the folder sets.

    Example:
        >>> greedy_options(lm.model, {"max_new_tokens": 5})["do_sample"]
        False
    """
    neutral = GenerationConfig._get_default_generation_params() | {"max_length": None}
    set_aside = {name: neutral.get(name) for name in _fields(model.generation_config) if name not in FROM_THE_FOLDER}
    return set_aside | {"do_sample": False} | given_options(options)


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a call with the fields of its `generation_config` among them.

    Args:
        options: of transformers' `generate`.
    """
    config = options.get("generation_config")
    fields = {} if config is None else _fields(config)
    return fields | {name: value for name, value in options.items() if name != "generation_config"}


def check_unset(options: Mapping[str, Any], unset: Mapping[str, Any], purpose: str) -> None:
    """Raise SteeringError for options that a caller can't take.

    Args:
        options: of transformers' `generate`.
        unset: those that may not be set, each with the value that it has then beside None.
        purpose: what the options have to do, for the message.
    """
    given = given_options(options)
    if found := [name for name, value in unset.items() if given.get(name) not in (None, value)]:
        raise SteeringError(f"Expected options that {purpose}, found {quoted(found)}; leave it out, or call generate.")


def _fields(config: GenerationConfig) -> dict[str, Any]:
    """What is set in it."""
    fields = {name: value for name, value in vars(config).items() if not name.startswith("_") and value is not None}
    fields.pop("transformers_version", None)
    return fields
