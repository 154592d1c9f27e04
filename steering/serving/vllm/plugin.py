"""The entry point that vLLM calls in every process, and the places of vLLM that it changes there."""

import functools
from collections.abc import Callable
from typing import Any

from steering.errors import SteeringError

VERSIONS = ">=0.32,<0.34"
"""Versions of vLLM whose insides are known here; 0.32.0 is the one that the tests run on."""

_done = False


def register() -> None:
    """Install the plugin in this process; doing it again does nothing.

    Raises SteeringError for a version of vLLM that isn't known: nobody could tell whose tokens would be moved.
    """
    global _done
    if _done:
        return
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
    _done = True


def check_version() -> None:
    """Raise SteeringError unless vLLM's version is in `VERSIONS`."""
    import vllm
    from packaging.specifiers import SpecifierSet

    if not SpecifierSet(VERSIONS).contains(vllm.__version__, prereleases=True):
        raise SteeringError(
            f"Trimtab's plugin knows vLLM {VERSIONS}, found {vllm.__version__}; install one of those, or switch the "
            "plugin off with VLLM_PLUGINS=''."
        )


def after(owner: Any, name: str, then: Callable[..., None]) -> None:
    """Let `then(self, result, *args, **kwargs)` run after every call of the method `owner.name`, on a class or object.

    Raises SteeringError when there is no such method: vLLM has changed.
    """
    method = getattr(owner, name, None)
    if not callable(method):
        raise SteeringError(
            f"Expected vLLM's {getattr(owner, '__name__', type(owner).__name__)}.{name}, found nothing of that name; "
            f"install vLLM {VERSIONS}."
        )
    is_class = isinstance(owner, type)

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        if is_class:
            then(args[0], result, *args[1:], **kwargs)
        else:
            then(owner, result, *args, **kwargs)
        return result

    setattr(owner, name, wrapped)
