"""The front end: every request is checked before it comes near a worker, where an error would end the engine."""

from typing import Any

from steering.errors import SteeringError
from steering.serving.vllm.axes import Axes
from steering.serving.vllm.settings import KEY, cache_salt, moved, parse_setting
from steering.serving.vllm.unsupported_modes import check_modes
from steering.vectors.slider import HARM, SliderValues


def when_front_end_starts(processor: Any, _result: object, *_: object, **__: object) -> None:
    """Read the vectors that the workers will read too, and refuse at once what can't be served."""
    processor.trimtab = Axes.configured(processor.vllm_config)
    if processor.trimtab is not None:
        check_modes(processor.vllm_config, processor.trimtab)


def when_request_arrives(processor: Any, request: Any, *_: object, **__: object) -> None:
    """Check the request's setting, write it down as the workers read it, and keep its cache apart.

    vLLM answers the error with 400 and a sentence.
    """
    from vllm.exceptions import VLLMValidationError

    params = request.sampling_params
    if params is None or not params.extra_args or KEY not in params.extra_args:
        return
    try:
        setting = _admitted(processor.trimtab, params.extra_args[KEY], request)
    except SteeringError as error:
        raise VLLMValidationError(str(error), parameter=KEY) from error
    params.extra_args = params.extra_args | {KEY: setting}
    if not setting:
        return
    request.cache_salt = cache_salt(setting, processor.trimtab, _prompt_length(request), request.cache_salt)
    if any(_tokens_read(setting, processor.trimtab).values()):
        params.skip_reading_prefix_cache = True  # a gate reads states, and the cache keeps none


def _admitted(axes: Axes | None, given: Any, request: Any) -> dict[str, float]:
    if axes is None:
        raise SteeringError(
            "This server has no sliders; start it with --additional-config "
            """'{"trimtab": {"vectors": {"NAME": "FILE"}}}'."""
        )
    setting = parse_setting(given, axes)
    if setting and request.resumable:
        raise SteeringError("A request whose prompt goes on while it runs can't be steered; send it whole.")
    length = _prompt_length(request)
    for name, read in _tokens_read(setting, axes).items():
        if length < read:
            raise SteeringError(f"The gate of axis {name!r} reads {read} tokens of a prompt, this one has {length}.")
    return setting


def _tokens_read(setting: SliderValues, axes: Axes) -> dict[str, int]:
    """By axis, how many tokens of the prompt its gates need."""
    return {name: axes.by_name[name].tokens_read(HARM in setting) for name in moved(setting)}


def _prompt_length(request: Any) -> int:
    return len(request.prompt_embeds if request.prompt_token_ids is None else request.prompt_token_ids)
