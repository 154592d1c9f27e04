"""New axes while the engine runs: first in every worker, then in the front end that lets requests name them."""

from pathlib import Path
from typing import Any

from steering.errors import SteeringError
from steering.serving.vllm.axes import Axes

RPC = "trimtab_add_axis"
"""Name of the method that every worker has for `collective_rpc`."""


def add_vllm_axis(llm: Any, name: str, path: str | Path, tokens: str | None = None) -> None:
    """Register a slider in a running `vllm.LLM`; requests may name it from then on.

    Args:
        llm: the engine, started with Trimtab.
        name: the axis; a name that is taken keeps its content.
        path: the file, readable in every worker.
        tokens: tokens that are moved, as `Sliders.attach` takes them; the file's own when not given.

    Raises:
        SteeringError: when the file can't serve here.
    """
    axes = axes_of(llm.llm_engine.input_processor)
    axis = axes.read(name, path, tokens)
    axes.check_live(axis)
    llm.collective_rpc(RPC, args=(name, str(path), tokens))
    axes.add_live(axis)


async def add_axis_async(engine: Any, name: str, path: str | Path, tokens: str | None = None) -> None:
    """The same for an `AsyncLLM`, such as the one behind the OpenAI server."""
    axes = axes_of(engine.input_processor)
    axis = axes.read(name, path, tokens)
    axes.check_live(axis)
    await engine.collective_rpc(RPC, args=(name, str(path), tokens))
    axes.add_live(axis)


def axes_of(processor: Any) -> Axes:
    """The front end's axes. Raises SteeringError where the engine was started without Trimtab."""
    axes = getattr(processor, "trimtab", None)
    if not isinstance(axes, Axes):
        raise SteeringError(
            """This engine was started without Trimtab; start it with additional_config={"trimtab": {"vectors": {}}}."""
        )
    return axes
