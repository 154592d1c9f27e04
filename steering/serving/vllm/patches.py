"""The places of vLLM that the plugin hooks into, and the versions that are known to have them."""

import functools
from collections.abc import Callable
from typing import Any

from steering.errors import SteeringError

VERSIONS = ">=0.32,<0.34"
"""Versions of vLLM whose insides are known here; 0.32.0 is the one that the tests run on."""


def check_version() -> None:
    """Raise SteeringError unless vLLM's version is in `VERSIONS`."""
    import vllm
    from packaging.specifiers import SpecifierSet

    if not SpecifierSet(VERSIONS).contains(vllm.__version__, prereleases=True):
        raise SteeringError(
            f"Trimtab's plugin knows vLLM {VERSIONS}, found {vllm.__version__}; install one of those, or switch the "
            "plugin off with VLLM_PLUGINS=''."
        )


def after(owner: Any, name: str, then: Callable[..., object]) -> None:
    """Let `then(self, result, *args, **kwargs)` run after every call of the method `owner.name`, on a class or object.

    Raises SteeringError when there is no such method: vLLM has changed.
    """
    method = getattr(owner, name, None)
    if not callable(method):
        raise SteeringError(
            f"Expected vLLM's {getattr(owner, '__name__', type(owner).__name__)}.{name}, found nothing of that name; "
            f"install vLLM {VERSIONS}."
        )

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        itself, *others = args if isinstance(owner, type) else (owner, *args)
        then(itself, result, *others, **kwargs)
        return result

    setattr(owner, name, wrapped)
