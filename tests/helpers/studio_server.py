"""The studio over a tiny model, on a free port of this process."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvicorn

from steering import ContrastSet, LanguageModel, Slider, Sliders, SteeringVector
from steering.errors import SteeringError
from tests.helpers.tiny import tiny_lm
from trimtab.serve.server import LOOPBACK_HOSTS, listen
from trimtab.studio.api import Studio
from trimtab.studio.session import Session

TOKEN = "open sesame"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def studio(
    lm: LanguageModel,
    axes: Mapping[str, SteeringVector | Slider],
    allow_mismatch: Sequence[str] = (),
    pairs: Mapping[str, ContrastSet] | None = None,
) -> Iterator[str]:
    """Its address, while it runs."""
    listener = listen("127.0.0.1", 0)
    session = Session(lm, Sliders(**axes) if axes else {}, allow_mismatch, pairs)
    app = Studio(session, load_tiny, TOKEN, LOOPBACK_HOSTS).app()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def load_tiny(name: str) -> LanguageModel:
    """Stands for `load_model`: another tiny model by its seed's name."""
    if not name.startswith("tiny-"):
        raise SteeringError(f"There is no folder {name!r}; check the path.")
    return tiny_lm(seed=int(name.removeprefix("tiny-")))


def write_garbage(path: Path) -> Path:
    """A file that is neither a vector nor a report."""
    path.write_bytes(b"\x80\x04 not what it says")
    return path
