"""`trimtab studio`: the sliders on a web page."""

import webbrowser
from dataclasses import replace
from threading import Timer
from typing import Annotated

from typer import Option

from trimtab.options import ModelOptions, VectorOptions, console
from trimtab.serve import check_installed
from trimtab.terminal import echo


def studio(
    model: ModelOptions,
    vectors: VectorOptions,
    host: Annotated[str, Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 takes a free one.")] = 8321,
    browser: Annotated[bool, Option(help="Open the page in your browser.")] = True,
) -> None:
    """Open a web page on this machine: sliders, chats side by side, sweeps, token colors, plots, reports, exports."""
    check_installed("studio")
    from trimtab.serve.server import LOOPBACK_HOSTS, is_loopback, listen, run
    from trimtab.studio.api import Studio
    from trimtab.studio.session import Session

    with listen(host, port) as listener:  # before the long loading, so that a taken port shows at once
        if not is_loopback(host):
            echo(
                f"Warning: anybody who reaches {host} can use this page, load models and read vectors and reports "
                "that you can read; leave out --host unless you trust them all.",
                err=True,
            )
        lm = model.load()
        session = Session(lm, vectors.sliders(lm), vectors.allow_mismatch or ())
        hosts = LOOPBACK_HOSTS if is_loopback(host) else None
        other = ModelOptions(dtype=model.dtype, device_map=model.device_map, engine=model.engine)
        app = Studio(session, lambda name: replace(other, model=name).load(), hosts).app()
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
        console.print(f"Studio: {url} (Ctrl-C ends it)")
        if browser:
            Timer(0.5, webbrowser.open, [url]).start()  # the socket listens already; the page waits for the server
        run(app, listener, log_level="warning", timeout_graceful_shutdown=2)
