"""What one request asks for: `{"safety": 0.8, "helpfulness": 0.3}`, as it came from Python or over HTTP."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from steering.errors import SteeringError, quoted
from steering.serving.vllm.axes import Axes
from steering.vectors.slider import SliderValues

KEY = "steering"
"""Name of the setting in `SamplingParams.extra_args`, and so in `vllm_xargs`."""
LARGEST = 1e4
"""Values beyond make activations overflow, whatever the vector."""


def parse_setting(given: Any, axes: Axes) -> dict[str, float]:
    """The sliders that are not at 0, sorted by name. Raises SteeringError for anything but numbers of known axes."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except json.JSONDecodeError as error:
            raise SteeringError(f"Expected steering as a JSON object of numbers: {error}.") from error
    if not isinstance(given, Mapping):
        raise SteeringError(
            f'Expected steering as {{"axis": number}}, in vllm_xargs as a string of JSON, found {type(given).__name__}.'
        )
    for name, value in given.items():
        if name not in axes.by_name:
            raise SteeringError(f"There is no axis {name!r}; the sliders are {quoted(axes.by_name)}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
            raise SteeringError(f"Expected a number up to ±{LARGEST:g} for slider {name!r}, found {value!r}.")
    return {name: float(given[name]) for name in sorted(given) if given[name] != 0}


def setting_of(sampling_params: Any) -> SliderValues | None:
    """What admission wrote down; nothing where a request came past it."""
    setting = (getattr(sampling_params, "extra_args", None) or {}).get(KEY)
    return setting if isinstance(setting, dict) else None


def cache_salt(setting: SliderValues, axes: Axes, prompt_length: int, given: str | None) -> str:
    """What keeps keys and values of one setting from serving another: hash of the setting and the vectors' content.

    Where the prompt's end decides which tokens are moved, its length belongs to the setting: the answer of one turn is
    prompt in the next. `given` is the request's own salt.
    """
    parts: list[Any] = [[name, value, axes.by_name[name].digest] for name, value in setting.items()]
    if any(axes.by_name[name].depends_on_prompt_length for name in setting):
        parts.append(prompt_length)
    content = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return f"{given or ''}|trimtab:{content}"
