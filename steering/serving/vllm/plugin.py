"""The entry point that vLLM calls in every process."""

from functools import cache

from steering.serving.vllm.patches import after, check_version


@cache
def register() -> None:
    """Install the plugin in this process; doing it again does nothing.

    Raises SteeringError for a version of vLLM that isn't known: nobody could tell whose tokens would be moved.
    """
    check_version()
    from vllm.v1.engine.input_processor import InputProcessor
    from vllm.v1.engine.output_processor import OutputProcessor
    from vllm.v1.worker.worker_base import WorkerWrapperBase

    from steering.serving.vllm import admission, metrics, worker

    # The classes of the workers differ by platform and are heavy to import; all of them come up in this wrapper.
    after(WorkerWrapperBase, "init_device", worker.when_device_is_ready)
    after(InputProcessor, "__init__", admission.when_front_end_starts)
    after(InputProcessor, "process_inputs", admission.when_request_arrives)
    after(OutputProcessor, "add_request", metrics.when_request_is_admitted)
    after(OutputProcessor, "process_outputs", metrics.when_tokens_arrive)
