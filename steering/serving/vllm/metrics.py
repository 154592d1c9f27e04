"""Counters beside vLLM's own, on its `/metrics`. Their labels are axes and directions, never single values."""

from functools import cache
from typing import Any

from steering.serving.vllm.settings import moved, setting_of


@cache
def _counters() -> tuple[Any, Any]:
    from prometheus_client import Counter

    about = "Requests that move a slider, by axis and direction."
    requests = Counter("trimtab_steered_requests", about, ["axis", "direction"])
    return requests, Counter("trimtab_steered_tokens", "Tokens of steered requests.", ["kind"])


def when_request_is_admitted(processor: Any, _result: object, request: Any, *_: object, **__: object) -> None:
    """Count the request, and remember that its tokens are steered."""
    setting = setting_of(request.sampling_params)
    if not setting:
        return
    requests, tokens = _counters()
    for axis, value in moved(setting).items():
        requests.labels(axis, "up" if value > 0 else "down").inc()
    tokens.labels("prompt").inc(len(request.prompt_token_ids or ()))
    processor.__dict__.setdefault("trimtab_steered", set()).add(request.request_id)


def when_tokens_arrive(processor: Any, _result: object, outputs: Any, *_: object, **__: object) -> None:
    """Count the new tokens of steered requests, and forget those that are no more."""
    steered: set[str] = processor.__dict__.get("trimtab_steered", set())
    if not steered:
        return
    for output in outputs:
        if output.request_id in steered:
            _counters()[1].labels("generated").inc(len(output.new_token_ids))
    if len(steered) > len(processor.request_states):  # finished or aborted, whichever way
        steered &= processor.request_states.keys()
