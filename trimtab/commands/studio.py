"""`trimtab studio`: the sliders on a web page."""

import secrets
import webbrowser
from dataclasses import replace
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Annotated

from typer import Option

from trimtab.options import ModelOptions, PairsOptions, VectorOptions, console
from trimtab.serve import check_installed
from trimtab.terminal import echo


def studio(
    model: ModelOptions,
    vectors: VectorOptions,
    own_sets: PairsOptions,
    host: Annotated[str, Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 takes a free one.")] = 8321,
    browser: Annotated[bool, Option(help="Open the page in your browser.")] = True,
) -> None:
    """Open a web page on this machine: sliders, chats side by side, sweeps, scores, token colors, reports, exports."""
    check_installed("studio")
    from trimtab.serve.server import LOOPBACK_HOSTS, is_loopback, listen, run
    from trimtab.studio.api import Studio
    from trimtab.studio.session import Session

    pairs = own_sets.contrast_sets()
    with listen(host, port) as listener:  # before the long loading, so that a taken port shows at once
        if not is_loopback(host):
            echo(
                f"Warning: what you and the studio at {host} send each other, its token too, can be read on the way; "
                "leave out --host and use an SSH tunnel unless you trust the network.",
                err=True,
            )
        lm = model.load()
        session = Session(lm, vectors.sliders(lm), vectors.allow_mismatch or (), pairs)
        hosts = LOOPBACK_HOSTS if is_loopback(host) else None
        other = ModelOptions(dtype=model.dtype, device_map=model.device_map, engine=model.engine)
        token = secrets.token_urlsafe(24)
        app = Studio(session, lambda name: replace(other, model=name).load(), token, hosts).app()
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
        link = f"{address}?token={token}"
        console.print(f"Studio: {link}", soft_wrap=True)
        console.print("Whoever has this link can use the studio. Ctrl-C ends it.")
        with TemporaryDirectory() as folder:
            if browser:
                page = Path(folder) / "studio.html"
                page.write_text(forwarding_page(link), encoding="utf-8")
                Timer(0.5, webbrowser.open, [page.as_uri()]).start()  # by then the server answers, or makes it wait
            run(app, listener, log_level="warning", timeout_graceful_shutdown=2)


def forwarding_page(link: str) -> str:
    """A page that leads to a link: every user of the machine sees what a browser is started with, but not its files."""
    target = escape(link)
    return (
        '<!doctype html><meta charset="utf-8"><title>Trimtab studio</title><meta name="referrer" content="no-referrer">'
        f'<meta http-equiv="refresh" content="0; url={target}"><p><a href="{target}">Open the studio</a></p>'
    )
