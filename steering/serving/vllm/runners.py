"""Where vLLM's two model runners say which token belongs to which request: right before every forward pass."""

from typing import Any

import numpy as np

from steering.errors import SteeringError
from steering.serving.vllm.patches import VERSIONS, after
from steering.serving.vllm.settings import setting_of
from steering.serving.vllm.token_coefficients import Batch, StepWriter
from steering.vectors.slider import SliderValues


def watch_runner(runner: Any, writer: StepWriter) -> None:
    """Let the writer fill the buffers before the runner's passes. Raises SteeringError for a runner it doesn't know."""
    if hasattr(runner, "model_state") and hasattr(runner, "req_states"):
        _watch_second(runner, writer)
    elif hasattr(runner, "_model_forward"):
        _watch_first(runner, writer)
    else:
        raise SteeringError(f"Expected a model runner of vLLM {VERSIONS}, found {type(runner).__name__}.")


def _watch_first(runner: Any, writer: StepWriter) -> None:
    """The first runner (`gpu_model_runner.py`): its batch is what the forward pass is about to run."""
    for holder, name in (
        (runner, "requests"),
        (runner, "query_start_loc"),
        (runner.input_batch, "req_ids"),
        (runner.input_batch, "num_computed_tokens_cpu"),
        (runner.input_batch, "num_prompt_tokens"),
    ):
        if not hasattr(holder, name):
            raise SteeringError(f"Expected {name} in vLLM's {type(holder).__name__}; install vLLM {VERSIONS}.")
    forward = runner._model_forward

    def steered_forward(*args: Any, **kwargs: Any) -> Any:
        batch = runner.input_batch
        names, count = batch.req_ids, len(batch.req_ids)
        lengths = np.diff(runner.query_start_loc.np[: count + 1])
        settings = [setting_of(runner.requests[name].sampling_params) for name in names]
        computed, prompts = batch.num_computed_tokens_cpu[:count], batch.num_prompt_tokens[:count]
        writer.write(Batch(names, lengths, computed, prompts, settings))
        return forward(*args, **kwargs)

    runner._model_forward = steered_forward


def _watch_second(runner: Any, writer: StepWriter) -> None:
    """The second runner (`gpu/model_runner.py`): its model state is told of requests and prepares every pass."""
    known: dict[str, tuple[SliderValues | None, int]] = {}

    def added(_state: Any, _result: object, _index: int, request: Any) -> None:
        known[request.req_id] = setting_of(request.sampling_params), request.prompt_len

    def removed(_state: Any, _result: object, name: str) -> None:
        known.pop(name, None)

    def prepared(_state: Any, _result: object, batch: Any, _states: object) -> None:
        found = [known.get(name, (None, 0)) for name in batch.req_ids]  # warm-up passes run requests of their own
        count = len(found)
        lengths = np.diff(batch.query_start_loc_np[: count + 1])
        prompts = np.array([length for _, length in found], dtype=np.int64)
        settings = [setting for setting, _ in found]
        writer.write(Batch(batch.req_ids, lengths, batch.num_computed_tokens_np[:count], prompts, settings))

    after(runner.model_state, "add_request", added)
    after(runner.model_state, "remove_request", removed)
    after(runner.model_state, "prepare_inputs", prepared)
