"""What one request asks for: `{"safety": 0.8, "helpfulness": 0.3}`, as it came from Python or over HTTP.

Beside the axes it may hold `"harm": 0.9`, its own probability that the prompt is harmful, in place of what gates read.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from steering.errors import SteeringError, quoted
from steering.json_reading import parse_json
from steering.serving.vllm.axes import Axes
from steering.vectors.slider import HARM, SliderValues, check_reads_harm

KEY = "steering"
"""Name of the setting in `SamplingParams.extra_args`, and so in `vllm_xargs`."""
LARGEST = 1e4
"""Values beyond make activations overflow, whatever the vector."""


def parse_setting(given: Any, axes: Axes) -> dict[str, float]:
    """The sliders that are not at 0, sorted by name, and the harm, where one of them reads it.

    Raises SteeringError for anything but numbers of known axes, and for a harm that no axis here reads.
    """
    if isinstance(given, str):
        given = parse_json(given, "steering")
    if not isinstance(given, Mapping):
        raise SteeringError(
            f'Expected steering as {{"axis": number}}, in vllm_xargs as a string of JSON, found {type(given).__name__}.'
        )
    values = moved(given)
    for name, value in values.items():
        if name not in axes.by_name:
            raise SteeringError(f"There is no axis {name!r}; the sliders are {quoted(axes.by_name)}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
            raise SteeringError(f"Expected a number up to ±{LARGEST:g} for slider {name!r}, found {value!r}.")
    setting = {name: float(values[name]) for name in sorted(values) if values[name] != 0}
    harm = given.get(HARM)
    if harm is None:
        return setting
    if isinstance(harm, bool) or not isinstance(harm, int | float) or not 0 <= harm <= 1:
        raise SteeringError(f"Expected harm as a probability from 0 to 1, found {harm!r}.")
    check_reads_harm(axis.slider for axis in axes.by_name.values())
    reads_it = any(axes.by_name[name].slider.reads_harm for name in setting)
    return setting | ({HARM: float(harm)} if reads_it else {})


def moved(setting: Mapping[str, Any]) -> dict[str, Any]:
    """The sliders of a setting."""
    return {name: value for name, value in setting.items() if name != HARM}


def setting_of(sampling_params: Any) -> SliderValues | None:
    """What admission wrote down; nothing where a request came past it."""
    setting = (getattr(sampling_params, "extra_args", None) or {}).get(KEY)
    return setting if isinstance(setting, dict) else None


def cache_salt(setting: SliderValues, axes: Axes, prompt_length: int, given: str | None) -> str:
    """What keeps keys and values of one setting from serving another: hash of all in it and of the vectors' content.

    Where the prompt's end decides which tokens are moved, its length belongs to the setting: the answer of one turn is
    prompt in the next. `given` is the request's own salt.
    """
    used = [axes.by_name[name] for name in moved(setting)]
    parts: list[Any] = [dict(setting), [axis.digest for axis in used]]
    if any(axis.depends_on_prompt_length for axis in used):
        parts.append(prompt_length)
    content = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return f"{given or ''}|trimtab:{content}"
