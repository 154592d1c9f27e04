"""A server in this process, on a free port, and what its tests ask it."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
openai = pytest.importorskip("openai")

from steering import LanguageModel, Slider, Sliders, SteeringVector  # noqa: E402
from tests.helpers.known_vectors import slider_of  # noqa: E402
from tests.helpers.tiny import random_vector, tiny_lm  # noqa: E402
from tests.helpers.workers import EngineName, worker_of  # noqa: E402
from trimtab.profiles import load_profiles  # noqa: E402
from trimtab.serve import server  # noqa: E402
from trimtab.serve.api import Api  # noqa: E402
from trimtab.serve.connections import Connections  # noqa: E402
from trimtab.serve.limits import Limits  # noqa: E402
from trimtab.serve.worker import Worker  # noqa: E402

KEY = "a secret"
AXES = {"safety": random_vector(1), "helpfulness": slider_of(random_vector(2), (-2.0, 3.0), tokens="answer")}
LIMITS = Limits(body_bytes=20_000, prompt_tokens=200, new_tokens=100, rows=16, waiting=64, slider=10.0)
GOOD = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}


class Server:
    """A server in a thread of this process."""

    def __init__(self, worker: Worker, connections: Connections | None = None, **options: Any) -> None:
        self.worker = worker
        listener = server.listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = Api(self.worker, "tiny", load_profiles(), **options).app()
        options = {"log_level": "error", "timeout_graceful_shutdown": 20}
        self.uvicorn = server.Server(app, connections or Connections.of_process(), **options)
        self.thread = Thread(target=self.uvicorn.run, kwargs={"sockets": [listener]}, daemon=True)

    def client(self, key: str = KEY, **options: Any) -> Any:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=600, **options)

    def post(self, path: str, body: object, key: str = KEY, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"} | headers
        return httpx.post(f"{self.url}{path}", content=content, headers=headers, timeout=60)


@contextmanager
def serving(
    engine: EngineName,
    lm: LanguageModel,
    axes: Mapping[str, SteeringVector | Slider] = AXES,
    limits: Limits = LIMITS,
    **options: Any,
) -> Iterator[Server]:
    server = Server(worker_of(engine, lm, Sliders(**axes), limits), **options)
    server.thread.start()
    while not server.uvicorn.started:
        time.sleep(0.01)
    try:
        yield server
    finally:
        server.uvicorn.should_exit = True
        server.thread.join(60)
        assert not server.thread.is_alive()


def endless_lm() -> LanguageModel:
    """A model that writes until its token limit."""
    lm = tiny_lm(max_position_embeddings=100_000)
    lm.model.generation_config.eos_token_id = None
    return lm


ENDLESS = replace(LIMITS, new_tokens=50_000, rows=1, waiting=1, batch_tokens=65_536)


def ask(client: Any, text: str, steering: dict[str, float] | None = None, **options: Any) -> Any:
    options = {"model": "tiny", "temperature": 0, "max_tokens": 20} | options
    extra = {} if steering is None else {"extra_body": {"steering": steering}}
    return client.chat.completions.create(messages=[{"role": "user", "content": text}], **extra, **options)


def alone(
    lm: LanguageModel, axes: Mapping[str, SteeringVector | Slider], text: str, steering: dict[str, float], tokens: int
) -> str:
    with Sliders(**axes).attach(lm) as dial:
        dial.set(**steering)
        return lm.chat(text, tokens)
