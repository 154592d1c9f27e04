"""`trimtab studio`: the sliders on a web page."""

import importlib.util
import webbrowser
from threading import Timer
from typing import Annotated

import typer

from steering.errors import SteeringError
from trimtab.options import (
    DEFAULT_MODEL,
    AllowMismatch,
    Blocks,
    DeviceMap,
    Dtype,
    Model,
    Revision,
    SystemPrompt,
    console,
    load_model,
)


def studio(
    model: Model = DEFAULT_MODEL,
    vectors: Annotated[
        list[str] | None,
        typer.Option("--vector", "-v", help="NAME=FILE, repeatable. Without it: those shipped for the model, if any."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8321,
    browser: Annotated[bool, typer.Option(help="Open the page in your browser.")] = True,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
    allow_mismatch: AllowMismatch = None,
) -> None:
    """Open a web page on this machine: sliders, chats side by side, sweeps, token colours, plots, reports, exports."""
    for package in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise SteeringError(f"The studio needs {package}, which is missing; run: pip install 'trimtab[studio]'")
    import uvicorn

    from trimtab.axes import axes_from, shipped_axes
    from trimtab.serve.server import LOOPBACK_HOSTS, is_loopback, listen
    from trimtab.studio.api import Studio
    from trimtab.studio.session import Session

    with listen(host, port) as listener:  # before the long loading, so that a taken port shows at once
        if not is_loopback(host):
            typer.echo(
                f"Warning: anybody who reaches {host} can use this page, load models and read vectors and reports "
                "that you can read; leave out --host unless you trust them all.",
                err=True,
            )
        lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
        axes = axes_from(lm, vectors, allow_mismatch or []) if vectors else shipped_axes(lm)
        session = Session(lm, axes, allow_mismatch or [])
        hosts = LOOPBACK_HOSTS if is_loopback(host) else None
        app = Studio(session, lambda name: load_model(name, dtype, device_map), hosts).app()
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
        console.print(f"Studio: {url} (Ctrl-C ends it)", markup=False)
        if browser:
            Timer(0.5, webbrowser.open, [url]).start()  # the socket listens already; the page waits for the server
        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listener])


COMMANDS = (studio,)
